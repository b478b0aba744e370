import numpy as np
import pytest
from scipy.stats import entropy

from bench.evaluation.spectrum import effective_rank, rank, spectrum


@pytest.mark.parametrize("true_rank", [1, 4, 7, 20])
def test_rank_of_codes_with_a_known_answer(true_rank: int) -> None:
    rng = np.random.default_rng(true_rank)
    mixing, _ = np.linalg.qr(rng.normal(size=(20, 20)))
    codes = rng.normal(size=(3000, true_rank)) @ mixing[:true_rank]
    noisy = codes + 1e-4 * rng.normal(size=(3000, 20))
    values = spectrum(noisy)
    assert rank(values) == true_rank
    assert rank(values, 1e-12) == 20
    np.testing.assert_allclose(values, np.linalg.svd(np.cov(noisy.T))[1], rtol=1e-6)


def test_rank_of_codes_that_tell_nothing_or_repeat() -> None:
    assert rank(spectrum(np.full((10, 5), 3.0))) == 0
    column = np.random.default_rng(0).normal(size=(50, 1))
    assert rank(spectrum(np.repeat(column, 6, axis=1))) == 1
    assert rank(spectrum(column)) == 1


def test_rank_thresholds_are_relative() -> None:
    values = np.array([2.0, 2.1e-3, 1.9e-3, 0.0])
    assert (rank(values), rank(values, 1e-4), rank(1e6 * values)) == (2, 3, 2)


def test_the_effective_rank_is_scipys_entropy() -> None:
    values = np.array([4.0, 2.0, 1.0, 1e-3, 0.0])
    assert effective_rank(values) == pytest.approx(np.exp(entropy(values)))
    assert effective_rank(np.ones(7)) == pytest.approx(7)
    assert effective_rank(np.zeros(2)) == 0
