"""The list of available models, against open_clip's registry."""

import math

import open_clip
import pytest
import torch

from ezclip.checkpoints.gallery import SUGGESTED, Offer, find_offer, offers
from ezclip.errors import CheckpointError
from ezclip.model.backbone import unsupported

OPEN_CLIP = [offer for offer in offers() if offer.name.startswith("clip:")]


def tag(offer: Offer) -> list[str]:
    return offer.name.removeprefix("clip:").split("/")


def test_names_are_unique_and_every_kind_is_there() -> None:
    names = [offer.name for offer in offers()]
    assert len(set(names)) == len(names)
    assert len(OPEN_CLIP) == 16 and sum(name.startswith("official/") for name in names) == 5
    for kind in ("xclip:", "videoprism:", "mote/"):
        assert any(name.startswith(kind) for name in names)
    assert sum("best on" in offer.role for offer in offers()) == 2


@pytest.mark.parametrize("offer", OPEN_CLIP, ids=lambda offer: offer.name)
def test_tags_and_repositories_are_open_clips(offer: Offer) -> None:
    arch, name = tag(offer)
    assert (arch, name) in open_clip.list_pretrained()
    assert open_clip.get_pretrained_cfg(arch, name)["hf_hub"].strip("/") == offer.address


@pytest.mark.parametrize("offer", [o for o in OPEN_CLIP if o.maps == "all"], ids=lambda offer: offer.name)
def test_sizes_are_those_of_the_tensors(offer: Offer) -> None:
    config = open_clip.get_model_config(tag(offer)[0])
    assert config is not None and offer.mb and offer.params
    assert not unsupported(config)
    with torch.device("meta"):
        model = open_clip.model.CLIP(**{k: config[k] for k in ("embed_dim", "vision_cfg", "text_cfg")})
    count = sum(p.numel() for p in model.parameters())
    assert math.isclose(count / 1e6, offer.params, rel_tol=0.01)
    assert math.isclose(sum(t.nbytes for t in model.state_dict().values()) / 1e6, offer.mb, rel_tol=0.01)


def test_what_the_page_suggests_loads_and_may_be_sold() -> None:
    offer = find_offer(SUGGESTED)
    assert offer.commercial == "yes" and offer.size == "605 MB"


def test_an_unknown_name_lists_the_others() -> None:
    with pytest.raises(CheckpointError, match="official/zero-shot"):
        find_offer("nothing")
