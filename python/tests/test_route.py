import numpy as np
import pytest

import libmoe


def noaux(logits, bias, k, groups, kept, scale):
    """DeepSeek-V3's choice in numpy, as its report has it."""
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    shifted = scores + bias
    by_group = shifted.reshape(len(logits), groups, -1)
    best_two = np.sort(by_group, axis=2)[:, :, -2:].sum(axis=2)
    allowed = np.argsort(-best_two, axis=1, kind="stable")[:, :kept]
    mask = np.full(by_group.shape, -np.inf)
    for row, chosen in enumerate(allowed):
        mask[row, chosen] = 0
    ids = np.argsort(-(by_group + mask).reshape(len(logits), -1), axis=1, kind="stable")[:, :k]
    weights = np.take_along_axis(scores, ids, axis=1)
    return ids, scale * weights / weights.sum(axis=1, keepdims=True)


def test_deepseek_v3():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(64, 256)).astype(np.float32)
    bias = rng.normal(scale=0.1, size=256).astype(np.float32)
    ids, weights = libmoe.route(logits, libmoe.RouterConfig.deepseek_v3(), bias)
    expected, shares = noaux(logits, bias, 8, 8, 4, 2.5)
    assert ids.shape == weights.shape == (64, 8) and ids.dtype == np.int32 and weights.dtype == np.float32
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_allclose(weights, shares, rtol=1e-5)


def test_rows_do_not_depend_on_each_other():
    logits = np.random.default_rng(4).normal(size=(33, 64)).astype(np.float32)
    config = libmoe.RouterConfig(64, 4, norm_topk_prob=True)
    ids, weights = libmoe.route(logits, config)
    for t in range(33):
        one_id, one_weight = libmoe.route(logits[t : t + 1], config)
        np.testing.assert_array_equal(one_id[0], ids[t])
        np.testing.assert_array_equal(one_weight[0], weights[t])
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert libmoe.route(logits[:0], config)[0].shape == (0, 4)
    np.testing.assert_array_equal(libmoe.route(logits[::2], config)[0], ids[::2])
    np.testing.assert_array_equal(libmoe.route(logits.tolist(), config)[0], ids)


def test_expert_mass_leaves_room():
    logits = np.array([[9, 0, 0, 0], [0, 0, 0, 0]], np.float32)
    ids, weights = libmoe.route(logits, libmoe.RouterConfig(4, 3, norm_topk_prob=True, expert_mass=0.5))
    assert ids[0].tolist() == [0, -1, -1] and weights[0, 1:].tolist() == [0, 0] and ids[1].tolist() == [0, 1, -1]


def test_the_arrays_own_their_memory():
    ids, weights = libmoe.route(np.zeros((2, 4), np.float32), libmoe.RouterConfig(4, 2))
    ids[0, 0] = 3
    assert ids[0, 0] == 3 and weights.flags.writeable


def test_of_a_model(model):
    config = libmoe.RouterConfig.deepseek_v3()
    assert config == libmoe.RouterConfig.deepseek_v3() != libmoe.RouterConfig.mixtral()
    assert config.score == "sigmoid" and config.topk_group == 4 and "256" in repr(config)


@pytest.mark.parametrize(
    "call, kind, part",
    [
        (lambda: libmoe.RouterConfig(4, 8), ValueError, "top_k"),
        (lambda: libmoe.RouterConfig(4, 2, score="soft"), ValueError, "score"),
        (lambda: libmoe.RouterConfig(4, 2, expert_mass=0.0), ValueError, "expert_mass"),
        (lambda: libmoe.route(np.zeros((2, 3), np.float32), libmoe.RouterConfig(4, 2)), ValueError, "3"),
        (lambda: libmoe.route(np.zeros(4, np.float32), libmoe.RouterConfig(4, 2)), ValueError, "dimensions"),
        (lambda: libmoe.route(np.zeros((2, 4)), libmoe.RouterConfig(4, 2)), TypeError, "float64"),
        (lambda: libmoe.route(np.full((2, 4), np.nan, np.float32), libmoe.RouterConfig(4, 2)), libmoe.Error, "NaN"),
        (lambda: libmoe.route(np.zeros((2, 4), np.float32), libmoe.RouterConfig(4, 2), np.zeros(4, np.float32)),
         ValueError, "bias"),
        (lambda: libmoe.route(np.zeros((2, 256), np.float32), libmoe.RouterConfig.deepseek_v3()), ValueError, "bias"),
    ],
)
def test_errors(call, kind, part):
    with pytest.raises(kind, match=part):
        call()
