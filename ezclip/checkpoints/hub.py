"""Models on the Hugging Face Hub: ``hf:organisation/name`` or ``hf:organisation/name@revision``; imports no torch."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from ezclip.errors import CheckpointError
from ezclip.files import write_json
from ezclip.types import Document

PREFIX = "hf:"
_NAME = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_CARD = """\
---
license: mit
library_name: ezclip
pipeline_tag: video-classification
tags: [video, action-recognition, zero-shot, clip, ez-clip]
---
# {name}

EZ-CLIP ([arXiv 2312.08010](https://arxiv.org/abs/2312.08010)), variant `{config[variant]}`, T = {config[num_frames]} \
frames, on the backbone {config[backbone][id]} (sha256 {config[backbone][sha256]:.12}).

    python -m ezclip predict clip.mp4 --labels "waving, clapping" --model {model}

"""


def check_hub_name(name: str) -> tuple[str, str | None]:
    """Parse hf:organisation/name[@revision] into repository and revision; raises CheckpointError for other names."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise CheckpointError(f"{name!r} is not hf:organisation/name or hf:organisation/name@revision.")
    return match["repo"], match["revision"]


def pull(name: str, files: tuple[str, ...], optional: tuple[str, ...] = ()) -> Path:
    """Download ``files`` of a model, and ``optional`` ones if they exist, to the Hub's cache; returns their folder.

    The default revision is the newest one. Without a network, cached files are used.

    Raises:
        CheckpointError: no such repository, revision or file, or no network and nothing in the cache.
    """
    from huggingface_hub import errors, hf_hub_download

    repo, revision = check_hub_name(name)
    cached_only = not _hub_answers(repo, files[0], revision)
    folder = None
    for file in (*files, *optional):
        try:
            folder = Path(hf_hub_download(repo, file, revision=revision, local_files_only=cached_only)).parent
        except errors.EntryNotFoundError as error:
            if file in optional:
                continue
            why = f"{name} has no {file}; it is not an ezclip model."
            if isinstance(error, errors.LocalEntryNotFoundError):
                why = f"{name} is not in the cache and the Hub cannot be reached; check the network or give a folder."
            raise CheckpointError(why) from error
        except errors.GatedRepoError as error:
            raise CheckpointError(f"{name} is gated; request access on its page, then `hf auth login`.") from error
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
            why = f"The Hub has no {name}, or it is private; check the name and `hf auth login`."
            raise CheckpointError(why) from error
        except (errors.HfHubHTTPError, OSError) as error:
            raise CheckpointError(f"{name} could not be downloaded ({type(error).__name__}); try again.") from error
        except Exception as error:  # a broken transfer: the HTTP library depends on huggingface_hub's version
            raise CheckpointError(
                f"The transfer of {file} of {name} broke off ({type(error).__name__}); check the network, try again."
            ) from error
    assert folder is not None
    return folder


def _hub_answers(repo: str, file: str, revision: str | None) -> bool:
    """Whether the Hub is reachable; without a network ``hf_hub_download`` would retry for half a minute."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(hf_hub_url(repo, file, revision=revision), timeout=5)
    except errors.HfHubHTTPError:
        return True
    except Exception:  # noqa: BLE001 the HTTP library depends on huggingface_hub's version
        return False
    return True


def push(folder: Path, repo: str, *, private: bool) -> str:
    """Upload a model folder with a card generated from its config.json; returns the URL of the commit.

    Local paths of the training are reduced to names, also in the uploaded config.json. The repository ``repo``
    (organisation/name) is created if it does not exist. Raises CheckpointError without login, permission or network.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, errors

    check_hub_name(PREFIX + repo)
    config = public_config(json.loads((folder / "config.json").read_text("utf-8")))
    if "method" in config:
        raise CheckpointError(
            f"{folder.name} is of the method {config['method']}, whose authors state no licence for its weights; only "
            "models of EZ-CLIP are uploaded."
        )
    backbone = next((p for f in (folder, folder.parent) if (p := f / "backbone.safetensors").is_file()), None)
    files = [folder / "adapter.safetensors", *([backbone] if backbone else [])]
    with tempfile.TemporaryDirectory() as scratch:
        files += [Path(scratch) / "config.json", Path(scratch) / "README.md"]
        write_json(files[-2], config)
        files[-1].write_text(card(repo, config), "utf-8")
        operations = [CommitOperationAdd(path.name, path) for path in files]
        try:
            api = HfApi()
            api.create_repo(repo, private=private, exist_ok=True)
            commit = api.create_commit(repo, operations, commit_message=f"Upload {folder.name} with ezclip")
        except errors.LocalTokenNotFoundError as error:
            raise CheckpointError("There is no Hub token; run `hf auth login` first.") from error
        except (errors.HfHubHTTPError, OSError) as error:
            why = f"{repo} could not be written ({type(error).__name__}); check name, token and network."
            raise CheckpointError(why) from error
    return str(commit.commit_url)


def public_config(config: Document) -> Document:
    """config.json with local paths reduced to names."""
    training = dict(config.get("training", {}))
    for key in ("data", "validation"):
        if training.get(key):
            training[key] = data_name(training[key])
    for key in ("out", "cache", "init", "backbone"):
        if training.get(key) and not str(training[key]).startswith("clip:"):
            training[key] = Path(training[key]).name
    return config | ({"training": training} if training else {})


def data_name(manifest: str) -> str:
    """Display name of a manifest's data: its file name, or NAME for NAME/train/manifest.jsonl."""
    path = Path(manifest)
    if path.stem != "manifest":
        return path.stem
    folder = path.parent.parent if path.parent.name in ("train", "val", "test") else path.parent
    return folder.name or "a manifest"


def card(repo: str, config: Document) -> str:
    """A model card: description, usage, and the metrics recorded in training."""
    training = config.get("training", {})
    text = _CARD.format(name=repo.partition("/")[2], model=PREFIX + repo, config=config)
    if data := training.get("data"):
        text += f"Trained on {data_name(data)}, {training.get('clips', '?')} clips.\n"
    if metrics := config.get("metrics"):
        line = ", ".join(f"{key.removeprefix('val_').replace('_', ' ')} {value:.3f}" for key, value in metrics.items())
        text += f"Measured on its validation clips at the end of training: {line}.\n"
    else:
        text += "Nothing was measured with this file.\n"
    if labels := config.get("labels"):
        text += f"\nClasses of its training ({len(labels)}):\n\n```json\n{json.dumps(labels)}\n```\n"
    return text
