"""SRG against another measure of faithfulness: ROAD (Rong et al., arXiv 2202.00449) of pytorch-grad-cam.

ROAD removes pixels by noisy linear imputation from their neighbours, frame by frame, whereas SRG replaces them
by the clip's mean colour, over space and time.
"""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ezclip.data.tabletop.truth import SAMPLES
from ezclip.explanation.faithfulness import measure
from ezclip.explanation.maps import explain_clip
from ezclip.predictor import Predictor
from ezclip.progress import finish
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres


class Cosine(nn.Module):
    """Cosine of a label with a clip, passed as a batch of frames (T, 3, S, S); repeated for each frame."""

    def __init__(self, predictor: Predictor, text: Tensor):
        super().__init__()
        self.model, self.text = predictor.model, text

    def forward(self, frames: Tensor) -> Tensor:
        video = self.model.encode_video(frames.unsqueeze(0)).mean(dim=1)
        return torch.cosine_similarity(video, self.text, dim=-1).expand(len(frames))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_road_agrees_with_srg_on_maps_and_their_reverses() -> None:
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    torch.manual_seed(0)
    predictor = Predictor.load("tabletop/ezclip", device="cpu", dtype=torch.float32)
    clip = read_clip(SAMPLES / "01_pushing_left_to_right.mp4", lambda n: segment_centres(n, 8))
    encoded, label = predictor.encode(clip), "Pushing something from left to right"
    text = predictor.encode_texts([label])
    heat = explain_clip(predictor, encoded).heat
    side = encoded.pixels.shape[-1] // heat.shape[1]
    srg, scores = [], []
    for values in (heat, heat.max() - heat):
        srg.append(finish(measure(predictor.model, encoded.pixels, values, text, 1, 0)).logit.srg)
        cams = np.kron(values, np.ones((1, side, side), values.dtype))
        road_scores = road.ROADCombined([30, 70])(encoded.pixels[0], cams, [lambda o: o] * 8, Cosine(predictor, text))
        scores.append(float(road_scores.mean()))
    assert srg[0] > 0 > srg[1] and scores[0] > 0 > scores[1]
    assert scores[0] == pytest.approx(-scores[1], abs=0.1), "the reverse of a map is removed in the reverse order"
