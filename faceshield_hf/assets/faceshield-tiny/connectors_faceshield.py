"""Connectors: from a vision tower's features to tokens in the language model's width.

`MultiModalProjector` is Llava's two-layer MLP, with learned positions if asked for. `GloballyAwareConnector` follows
I-FAS: learned queries and global queries, one a layer, gather what all layers saw. They know tensors, not towers,
images or text.

Example:
    >>> import torch
    >>> from faceshield_hf.connectors_faceshield import MultiModalProjector
    >>> MultiModalProjector(8, 16)(torch.zeros(1, 4, 8)).shape
    torch.Size([1, 4, 16])
"""

import math
from collections.abc import Sequence

import torch
from torch import nn
from transformers.activations import ACT2FN


class MultiModalProjector(nn.Module):
    """Two linear layers with an activation between, applied to every token alone; with a grid, positions on top.

    Args:
        input_size (`int`):
            Channels of the vision tokens.
        hidden_size (`int`):
            Width of the language model.
        hidden_act (`str`, *optional*, defaults to `"gelu"`):
            The activation.
        grid (`Sequence[int]`, *optional*):
            Rows and columns of one view's tokens. Each token then also gets learned embeddings of its row, its column
            and its view: a convolution's features tell what is there, not where. `None` (Llava) adds nothing.
        num_views (`int`, *optional*, defaults to 1):
            Number of views of one image, read with `grid` only.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        hidden_act: str = "gelu",
        grid: Sequence[int] | None = None,
        num_views: int = 1,
    ) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(input_size, hidden_size)
        self.act = ACT2FN[hidden_act]
        self.linear_2 = nn.Linear(hidden_size, hidden_size)
        self.positions = None if grid is None else GridPositions(grid, num_views, hidden_size)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Projects tokens.

        Args:
            tokens (`torch.Tensor` of shape `(num_images, num_tokens, input_size)`):
                Vision tokens.

        Returns:
            `torch.Tensor` of shape `(num_images, num_tokens, hidden_size)`: Tokens for the language model.

        Raises:
            ValueError: If a grid was given and the tokens do not fill whole views of it.
        """
        projected = self.linear_2(self.act(self.linear_1(tokens)))
        if self.positions is None:
            return projected
        return projected + self.positions(projected.shape[1])


class GridPositions(nn.Module):
    """Learned embeddings of row, column and view, summed for every token of an image's views.

    Args:
        grid (`Sequence[int]`):
            Rows and columns of one view.
        num_views (`int`):
            Number of views.
        hidden_size (`int`):
            Width of the tokens.
    """

    def __init__(self, grid: Sequence[int], num_views: int, hidden_size: int) -> None:
        super().__init__()
        self.rows, self.columns = grid
        self.row_embedding = nn.Embedding(self.rows, hidden_size)
        self.column_embedding = nn.Embedding(self.columns, hidden_size)
        self.view_embedding = nn.Embedding(num_views, hidden_size)

    def forward(self, num_tokens: int) -> torch.Tensor:
        """Sums the embeddings.

        Args:
            num_tokens (`int`):
                Tokens of an image, of its first view or of all.

        Returns:
            `torch.Tensor` of shape `(num_tokens, hidden_size)`: One embedding a token, view by view, row by row.

        Raises:
            ValueError: If `num_tokens` is not a number of whole views.
        """
        a_view = self.rows * self.columns
        if num_tokens % a_view or num_tokens // a_view > self.view_embedding.num_embeddings:
            raise ValueError(
                f"got {num_tokens} visual tokens an image, but projector_grid says {self.rows}x{self.columns} tokens "
                "a view: set it to the tower's grid after folding, or to None."
            )
        place = self.row_embedding.weight[:, None] + self.column_embedding.weight
        views = self.view_embedding.weight[: num_tokens // a_view]
        return (views[:, None] + place.flatten(0, 1)).flatten(0, 1)


class GloballyAwareConnector(nn.Module):
    """The globally aware connector of I-FAS.

    Every layer's pooled features of every view become one global query through a linear map; learned queries fill up
    to `num_queries`. In each block, with layer normalisation before every step and a residual around it, the queries
    attend to each other, then to the last layer's tokens of all views, then pass an MLP. All queries are projected to
    the language model's width: they are the visual tokens, learned ones first.

    Args:
        tower_size (`int`):
            Channels of the last layer's tokens; also the width in which the queries live.
        layer_sizes (`list[int]`):
            Channels of each layer's pooled features.
        hidden_size (`int`):
            Width of the language model.
        num_queries (`int`):
            Number of queries, hence of visual tokens, global ones included.
        num_views (`int`):
            Number of views of one image (2 with the spoof-aware one).
        depth (`int`, *optional*, defaults to 4):
            Number of blocks.
        hidden_act (`str`, *optional*, defaults to `"gelu"`):
            Activation of the MLPs.

    Raises:
        ValueError: If the global queries alone are as many as `num_queries`.
    """

    def __init__(
        self,
        tower_size: int,
        layer_sizes: list[int],
        hidden_size: int,
        num_queries: int,
        num_views: int,
        depth: int = 4,
        hidden_act: str = "gelu",
    ) -> None:
        super().__init__()
        num_global = num_views * len(layer_sizes)
        if num_queries <= num_global:
            raise ValueError(
                f"gac_num_queries is {num_queries}, but {len(layer_sizes)} layers of {num_views} view(s) already give "
                f"{num_global} global queries: it must be at least {num_global + 1}."
            )
        self.learned_queries = nn.Parameter(torch.zeros(num_queries - num_global, tower_size))
        self.global_projections = nn.ModuleList(nn.Linear(size, tower_size) for size in layer_sizes)
        self.blocks = nn.ModuleList(_QueryBlock(tower_size, hidden_act) for _ in range(depth))
        self.output = nn.Linear(tower_size, hidden_size)

    def forward(self, tokens: torch.Tensor, pooled: list[torch.Tensor]) -> torch.Tensor:
        """Gathers an image's features in its queries.

        Args:
            tokens (`torch.Tensor` of shape `(num_images, num_tokens, tower_size)`):
                Last layer's tokens of all views, joined on the sequence axis.
            pooled (`list[torch.Tensor]`, each of shape `(num_images, num_views, layer_size)`):
                Pooled features of every layer.

        Returns:
            `torch.Tensor` of shape `(num_images, num_queries, hidden_size)`: Tokens for the language model.
        """
        learned = self.learned_queries.expand(tokens.shape[0], -1, -1)
        seen = [project(vectors) for project, vectors in zip(self.global_projections, pooled, strict=True)]
        queries = torch.cat([learned, *seen], dim=1)
        for block in self.blocks:
            queries = block(queries, tokens)
        return self.output(queries)


class _QueryBlock(nn.Module):
    """Self-attention, cross-attention and MLP over the queries, each normalised before and added to its input."""

    def __init__(self, size: int, hidden_act: str) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(size)
        self.self_attention = _Attention(size)
        self.cross_norm = nn.LayerNorm(size)
        self.tokens_norm = nn.LayerNorm(size)
        self.cross_attention = _Attention(size)
        self.mlp_norm = nn.LayerNorm(size)
        self.mlp = nn.Sequential(nn.Linear(size, 4 * size), ACT2FN[hidden_act], nn.Linear(4 * size, size))

    def forward(self, queries: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Runs the three steps on `(num_images, num_queries, size)` queries."""
        normed = self.self_norm(queries)
        queries = queries + self.self_attention(normed, normed)
        queries = queries + self.cross_attention(self.cross_norm(queries), self.tokens_norm(tokens))
        return queries + self.mlp(self.mlp_norm(queries))


class _Attention(nn.Module):
    """Multi-head attention with up to 8 heads, as many as divide the width."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_heads = math.gcd(size, 8)
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.output = nn.Linear(size, size)

    def forward(self, queries: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Attends from `(num_images, num_queries, size)` to `(num_images, num_tokens, size)`."""
        query, key, value = (
            project(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for project, x in ((self.query, queries), (self.key, tokens), (self.value, tokens))
        )
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.output(attended.transpose(1, 2).flatten(2))
