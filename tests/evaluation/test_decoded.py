import numpy as np
import torch
from sklearn.decomposition import PCA

from bench.evaluation.decoded import as_bytes, pictures, principal_walks
from bench.models.networks import initial_model
from tests.support.tiny import tiny


def test_bytes_are_the_nearest_ones() -> None:
    shown = as_bytes(torch.tensor([-1, 0.4 / 255, 0.6 / 255, 2]))
    assert shown.tolist() == [0, 0, 1, 255]


def test_interpolations_are_straight_and_end_at_the_images() -> None:
    model = initial_model(tiny("irmae", seed=1)).eval()
    codes = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    with torch.no_grad():
        made = pictures(model, codes, codes)
        middle = model.decoder(torch.from_numpy(codes[2:3] * 4 / 9 + codes[3:4] * 5 / 9))
    ways = made["interpolations"]
    assert ways.shape == (4, 10, 1, 32, 32)
    ends = [ways[:, 0], ways[:, -1]]
    pairs = made["reconstructions"][:8].reshape(4, 2, 1, 32, 32)
    for end, images in zip(ends, (pairs[:, 0], pairs[:, 1]), strict=True):
        assert np.abs(end.astype(int) - images).max() <= 1
    assert np.abs(ways[1, 5] - as_bytes(middle)[0].astype(int)).max() <= 1


def test_walks_follow_scikit_learns_principal_components() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + 3
    walks = principal_walks(codes)
    assert walks.shape == (4, 9, 6)
    reference = PCA(4).fit(codes)
    np.testing.assert_allclose(walks[:, 4], np.tile(reference.mean_, (4, 1)))
    steps = walks[:, -1] - walks[:, 4]
    deviations = np.linalg.norm(steps, axis=1)
    np.testing.assert_allclose(deviations, 3 * np.sqrt(reference.explained_variance_))
    cosines = (steps / deviations[:, None] * reference.components_).sum(axis=1)
    np.testing.assert_allclose(np.abs(cosines), 1)
    # Of the two ways along a direction, the one on which its largest coordinate rises.
    assert (steps[np.arange(4), np.abs(steps).argmax(axis=1)] > 0).all()


def test_walks_are_of_all_codes_and_not_of_those_that_are_shown() -> None:
    model = initial_model(tiny("irmae", seed=1)).eval()
    codes = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    with torch.no_grad():
        made = pictures(model, codes[:20], codes)
        whole = pictures(model, codes, codes)
    assert np.array_equal(made["walks"], whole["walks"])


def test_pictures_of_two_codes_in_one_dimension() -> None:
    model = initial_model(tiny("ae", latent_dim=1)).eval()
    with torch.no_grad():
        made = pictures(model, *[np.zeros((2, 1), np.float32)] * 2)
    assert {name: len(images) for name, images in made.items()} == {
        "reconstructions": 2,
        "interpolations": 1,
        "walks": 1,
    }
