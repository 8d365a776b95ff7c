"""The connectors: Llava's MLP, and the globally aware connector against its formulas."""

import pytest
import torch
from torch.nn import functional as F
from transformers import LlamaConfig, LlavaConfig, SiglipVisionConfig
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

from faceshield_hf.connectors_faceshield import GloballyAwareConnector, MultiModalProjector


def connector(depth=1, num_queries=7, num_views=2, layers=(8, 8)):
    torch.manual_seed(0)
    made = GloballyAwareConnector(8, list(layers), 12, num_queries, num_views, depth)
    torch.nn.init.normal_(made.learned_queries)
    return made


def attend(module, queries, tokens):
    """The same attention by torch's own multi-head attention."""
    parts = (module.query, module.key, module.value)
    return F.multi_head_attention_forward(
        queries.transpose(0, 1),
        tokens.transpose(0, 1),
        tokens.transpose(0, 1),
        embed_dim_to_check=8,
        num_heads=module.num_heads,
        in_proj_weight=torch.cat([part.weight for part in parts]),
        in_proj_bias=torch.cat([part.bias for part in parts]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=module.output.weight,
        out_proj_bias=module.output.bias,
        need_weights=False,
    )[0].transpose(0, 1)


@pytest.mark.parametrize("act", ["gelu", "relu"])
def test_the_mlp_equals_llavas_projector_with_its_weights(act):
    vision, text = SiglipVisionConfig(hidden_size=24), LlamaConfig(hidden_size=32)
    theirs = LlavaMultiModalProjector(LlavaConfig(vision_config=vision, text_config=text, projector_hidden_act=act))
    ours = MultiModalProjector(24, 32, act)
    ours.load_state_dict(theirs.state_dict())
    tokens = torch.randn(2, 5, 24)
    assert torch.equal(ours(tokens), theirs(tokens))


def test_the_globally_aware_connector_follows_its_equations():
    made = connector(depth=2).double()
    tokens, pooled = torch.randn(3, 10, 8).double(), [torch.randn(3, 2, 8).double() for _ in range(2)]
    learned = made.learned_queries.expand(3, -1, -1)
    seen = [project(vectors) for project, vectors in zip(made.global_projections, pooled, strict=True)]
    queries = torch.cat([learned, *seen], dim=1)  # Q = [Q_P; Q_V]
    for block in made.blocks:
        normed = block.self_norm(queries)
        queries = queries + attend(block.self_attention, normed, normed)  # Q' = Q + MSA(LN Q)
        normed = block.cross_norm(queries)
        queries = queries + attend(block.cross_attention, normed, block.tokens_norm(tokens))  # Q'' = Q' + MCA(...)
        queries = queries + block.mlp(block.mlp_norm(queries))  # X_T = Q'' + MLP(LN Q'')
    torch.testing.assert_close(made(tokens, pooled), made.output(queries))


def test_global_queries_count_among_the_queries():
    made = connector(num_queries=7, num_views=2, layers=(8, 8))
    assert made.learned_queries.shape == (3, 8)  # 7 queries, 2 layers of 2 views are global
    out = made(torch.randn(2, 10, 8), [torch.randn(2, 2, 8)] * 2)
    assert out.shape == (2, 7, 12)


def test_as_many_global_queries_as_queries_are_refused_with_the_smallest_number_that_works():
    with pytest.raises(ValueError, match=r"gac_num_queries is 4, but 2 layers of 2 view.* at least 5"):
        connector(num_queries=4)


def test_layers_of_different_width_each_have_their_own_map():
    made = connector(layers=(4, 6))
    out = made(torch.randn(1, 10, 8), [torch.randn(1, 2, 4), torch.randn(1, 2, 6)])
    assert out.shape == (1, 7, 12)


def test_every_layer_and_every_view_reach_the_queries():
    made = connector()
    tokens = torch.randn(1, 10, 8)
    pooled = [torch.randn(1, 2, 8, requires_grad=True) for _ in range(2)]
    made(tokens, pooled)[:, 0].sum().backward()  # the first query is a learned one
    assert all((vectors.grad.abs().sum(dim=2) > 0).all() for vectors in pooled)


def test_the_width_need_not_divide_by_eight():
    made = GloballyAwareConnector(12, [12], 16, num_queries=3, num_views=1, depth=1)
    assert made.blocks[0].self_attention.num_heads == 4
    assert made(torch.randn(1, 4, 12), [torch.randn(1, 1, 12)]).shape == (1, 3, 16)


def test_a_grid_adds_row_column_and_view_to_every_token():
    projector = MultiModalProjector(4, 6, grid=(2, 3), num_views=2)
    plain = MultiModalProjector(4, 6)
    plain.load_state_dict({k: v for k, v in projector.state_dict().items() if "positions" not in k})
    tokens = torch.randn(1, 12, 4)
    added = projector(tokens) - plain(tokens)
    places = projector.positions
    # Token 6 + 5 is the second view's row 1, column 2.
    expected = places.row_embedding.weight[1] + places.column_embedding.weight[2] + places.view_embedding.weight[1]
    torch.testing.assert_close(added[0, 11], expected)
    torch.testing.assert_close(projector(tokens[:, :6]), projector(tokens)[:, :6])


@pytest.mark.parametrize("count", [5, 18])
def test_a_grid_of_another_size_is_refused(count):
    with pytest.raises(ValueError, match=f"got {count} visual tokens an image, but projector_grid says 2x3"):
        MultiModalProjector(4, 6, grid=(2, 3), num_views=2)(torch.zeros(1, count, 4))
