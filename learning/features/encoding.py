"""Texts as vectors of the installation's sentence model, made in a process of its own.

The library takes seconds to import, hundreds of megabytes, and reads files that strangers made. So it lives in a
process, this module run as a program, only while there are texts to encode: with no secret in its environment, told to
fetch nothing from any network, giving way to what people wait for. It reads lists of texts from its standard input and
writes their vectors to its standard output, and ends when the input does, as it does when whoever started it is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.sentence_models import SentenceModel, SentenceModelError, find_model
from learning.features.counting import MAX_PROCESSES, NICENESS, count_cores, read_message, write_message

if TYPE_CHECKING:
    from learning.algorithms.features import SentenceFeatures

# Texts in one message, all of which a model takes at once that only adds words up; and those that one takes that weighs
# words against each other, where each text takes the room of the longest.
AT_ONCE = 256
BATCH = 32
# Models read a few hundred words; what adds words up would read all of a book.
MAX_CHARACTERS = 20_000
MAX_DIMENSIONS = 4_096
# What a library needs of the environment to be found, and to find a GPU.
_PASSED_ON = re.compile(r"PATH|HOME|TMPDIR|LANG|LC_.*|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHON.*|CUDA_.*|NVIDIA_.*")


class Encoder:
    """A running process that turns texts into vectors.

    Attributes
    ----------
    n_dimensions : int
        1 to 4,096.
    """

    def __init__(self, process: subprocess.Popen[bytes], n_dimensions: int) -> None:
        self._process, self.n_dimensions = process, n_dimensions

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors as the model gives them, (n_texts, n_dimensions); a text without a letter in it is a row of zeros.

        Of a text its first 20,000 characters. Raises SentenceModelError where the model fails, or gives what is no
        number.
        """
        vectors = np.zeros((len(texts), self.n_dimensions), np.float32)
        filled = np.array([number for number, text in enumerate(texts) if text.strip()], np.int64)
        for start in range(0, len(filled), AT_ONCE):
            some = filled[start : start + AT_ONCE]
            sent = [texts[number][:MAX_CHARACTERS].encode("utf-8", "replace").decode() for number in some]
            try:
                write_message(_pipe(self._process.stdin), json.dumps(sent).encode())
            except BrokenPipeError as error:
                raise SentenceModelError(_ended_early()) from error
            told = _hear(self._process)
            data = read_message(_pipe(self._process.stdout))
            if data is None or told["n_dimensions"] != self.n_dimensions:
                raise SentenceModelError(_ended_early())
            vectors[some] = np.frombuffer(data, "<f4").reshape(len(some), self.n_dimensions)
        if not np.isfinite(vectors).all():
            raise SentenceModelError(_("the sentence model gives vectors that are no numbers: take another model"))
        return vectors


@contextlib.contextmanager
def open_encoder(model: SentenceModel) -> Iterator[Encoder]:
    """Start the process; at the end it is gone, whatever happened.

    Raises SentenceModelError where the model cannot be read.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "learning.features.encoding", str(model.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env=_environment(),
    )
    try:
        n_dimensions = _hear(process)["n_dimensions"]
        if not 1 <= n_dimensions <= MAX_DIMENSIONS:
            raise SentenceModelError(
                _("the sentence model makes vectors of %(n)d numbers, and %(most)d are the most: take another model")
                % {"n": n_dimensions, "most": MAX_DIMENSIONS}
            )
        yield Encoder(process, n_dimensions)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def encode_texts(texts: Sequence[str]) -> tuple[SentenceFeatures, NDArray[np.float32]]:
    """A block of features by the installation's model, and its rows of these texts. Raises SentenceModelError."""
    from learning.algorithms.features import SentenceFeatures

    model = find_model()
    with open_encoder(model) as encoder:
        return SentenceFeatures(encoder.n_dimensions, model.digest), encoder.encode(texts)


def _environment() -> dict[str, str]:
    """None of ours: keys and addresses stand there."""
    return {
        **{name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)},
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TQDM_DISABLE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # Threads that wait sleep: on a busy machine those that spin are all that runs.
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
    }


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("the process that encodes has no pipes")
    return pipe


def _hear(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the process says of itself, or of what it sends next."""
    said = read_message(_pipe(process.stdout))
    if said is None:
        raise SentenceModelError(_ended_early())
    told: dict[str, Any] = json.loads(said)
    if "error" in told:
        raise SentenceModelError(
            _("the sentence model cannot be used (%(reason)s): fetch it again, or take another one")
            % {"reason": told["error"]}
        )
    return told


def _ended_early() -> str:
    return _("the process that makes sentence embeddings has ended early: the worker's log says why")


# --- In the process --------------------------------------------------------------------------------------------------


def serve(folder: str, source: IO[bytes], target: IO[bytes]) -> None:
    """Say how long vectors are, then encode the texts that come in, until no more do."""
    try:
        model, batch = _load(folder)
        width = len(model.encode(["a"])[0])
        write_message(target, json.dumps({"n_dimensions": width}).encode())
        while (sent := read_message(source)) is not None:
            vectors = np.asarray(model.encode(json.loads(sent), batch_size=batch, show_progress_bar=False), "<f4")
            write_message(target, json.dumps({"n_dimensions": vectors.shape[1]}).encode())
            write_message(target, np.ascontiguousarray(vectors).tobytes())
    except Exception as error:
        # Libraries meet broken files with errors of every kind. Their texts may be as long as what they met.
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        write_message(target, json.dumps({"error": reason}).encode())


def _load(folder: str) -> tuple[Any, int]:
    """The model, and how many texts it takes at once."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = SentenceTransformer(
        folder, device=device, local_files_only=True, trust_remote_code=False, model_kwargs={"use_safetensors": True}
    )
    is_static = isinstance(model[0], StaticEmbedding)
    torch.set_num_threads(1 if is_static else max(1, min(MAX_PROCESSES, count_cores() - 1)))
    # As float32 whatever the weights are stored as: processors are slow with halves, and sums of halves are coarse.
    return model.float().eval(), AT_ONCE if is_static else BATCH


if __name__ == "__main__":
    os.nice(NICENESS)
    # What libraries print must not mix with what is sent.
    own = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.argv[1], sys.stdin.buffer, own)
