"""Tables of vectors looked up by index: Embedding, and EmbeddingBag, which reduces them."""

from __future__ import annotations

from typing import Any, Self

from gpunn import functional as F
from gpunn.autograd.grad_mode import no_grad
from gpunn.creation import empty
from gpunn.functional.linear import padding_row
from gpunn.nn import init
from gpunn.nn.module import Module, Where
from gpunn.nn.parameter import Parameter
from gpunn.tensor import Tensor


class _Table(Module):
    """``weight`` (num_embeddings, embedding_dim), of which row ``padding_idx`` begins as zeros."""

    max_norm: float | None
    norm_type: float
    scale_grad_by_freq: bool

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        weight: Tensor | None,
        freeze: bool,
        device: Where,
        dtype: Any,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_row(padding_idx, num_embeddings)
        size = (num_embeddings, embedding_dim)
        if weight is None:
            self.weight = Parameter(empty(*size, device=device, dtype=dtype), not freeze)
            self.reset_parameters()
        else:
            if weight.shape != size:
                raise AssertionError(
                    "Shape of weight does not match num_embeddings and embedding_dim: "
                    f"expected {list(size)}, got {list(weight.shape)}"
                )
            self.weight = Parameter(weight, not freeze)

    def reset_parameters(self) -> None:
        """Draw new values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def _scaling(self) -> str:
        """The text of the options by which rows or their gradients are scaled."""
        text = "" if self.max_norm is None else f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        return text + (", scale_grad_by_freq=True" if self.scale_grad_by_freq else "")


def _pretrained(embeddings: Tensor) -> dict[str, Any]:
    """The arguments that make a table over the memory of ``embeddings`` (n, d)."""
    if embeddings.dim() != 2:
        raise AssertionError(
            "Embeddings parameter is expected to be 2-dimensional, "
            f"got shape {list(embeddings.shape)}"
        )
    n, d = embeddings.shape
    return {"num_embeddings": n, "embedding_dim": d, "_weight": embeddings}


class Embedding(_Table):
    """A table of ``num_embeddings`` vectors, looked up by index: ``(*) -> (*, embedding_dim)``.

    ``weight`` begins standard normal. Row ``padding_idx`` begins as zeros and gets no gradient;
    ``max_norm``, ``norm_type`` and ``scale_grad_by_freq`` as in ``functional.embedding``.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Where = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            num_embeddings, embedding_dim, padding_idx, _weight, _freeze, device, dtype
        )
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """An Embedding over the memory of ``embeddings`` ``(n, d)``, not trained if ``freeze``."""
        return cls(
            **_pretrained(embeddings),
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
            _freeze=freeze,
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        return text + self._scaling() + (", sparse=True" if self.sparse else "")


class EmbeddingBag(_Table):
    """Sums, means or maxima of bags of vectors: ``functional.embedding_bag`` with its ``weight``.

    ``weight`` begins standard normal, its row ``padding_idx`` as zeros, which no bag counts.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Where = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, _weight, False, device, dtype)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.mode, self.sparse = scale_grad_by_freq, mode, sparse
        self.include_last_offset = include_last_offset

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """An EmbeddingBag over the memory of ``embeddings`` ``(n, d)``."""
        bag = cls(
            **_pretrained(embeddings),
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        bag.weight.requires_grad = not freeze
        return bag

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}{self._scaling()}, mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
