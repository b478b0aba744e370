"""What nearest neighbours tell, on inputs whose right answer is known."""

import prdc
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from bench.evaluation.neighbours import coverage, nearest_neighbours, nearest_ratio, radii


def test_shares_are_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(1_300, 6, generator=generator)
    b = torch.randn(1_300, 6, generator=generator) + 0.4
    together = torch.cat([a, b]).numpy()
    nearest = NearestNeighbors(n_neighbors=2).fit(together).kneighbors()[1][:, 0]
    real = (nearest[:1_300] < 1_300).mean()
    samples = (nearest[1_300:] >= 1_300).mean()
    found = nearest_neighbours(a, b)
    assert found == pytest.approx({"real": real, "samples": samples})
    assert min(found.values()) > 0.5


def test_the_larger_set_is_thinned_evenly() -> None:
    a, b = torch.randn(2, 97, 4, generator=torch.Generator().manual_seed(0))
    assert nearest_neighbours(a, b[:33]) == nearest_neighbours(a[::3], b[:33])
    assert nearest_neighbours(a[:33], b) == nearest_neighbours(a[:33], b[::3])


def test_copies_bring_both_shares_to_nought_and_one_repeated_image_to_one() -> None:
    images = torch.randn(500, 6, generator=torch.Generator().manual_seed(0))
    assert nearest_neighbours(images, images.clone()) == {"real": 0.0, "samples": 0.0}
    repeated = images[:1].repeat(500, 1) + 9
    assert nearest_neighbours(images, repeated) == {"real": 1.0, "samples": 1.0}


@pytest.mark.parametrize("value", [0.0, 0.1, 3.0])
def test_where_all_images_are_equal_a_real_ones_distance_counts(value: float) -> None:
    equal = torch.full((200, 16), value)
    assert nearest_neighbours(equal, equal.clone()) == {"real": 1.0, "samples": 0.0}


@pytest.mark.parametrize("dimensions", [2, 3, 16])
def test_of_many_that_are_equally_near_a_real_one_counts(dimensions: int) -> None:
    """More than are looked at closely: whole numbers repeat, so that most images have copies."""
    generator = torch.Generator().manual_seed(0)
    real, samples = torch.randn(2, 400, dimensions, generator=generator).round()
    within = [torch.cdist(each, each).fill_diagonal_(torch.inf).amin(1) for each in (real, samples)]
    across = torch.cdist(real, samples)
    expected = {
        "real": (within[0] <= across.amin(1)).double().mean().item(),
        "samples": (within[1] < across.amin(0)).double().mean().item(),
    }
    assert nearest_neighbours(real, samples) == expected


def test_a_class_that_is_missing_shows_on_the_side_of_the_real_images() -> None:
    """One of ten distant clouds has no samples, so its real images find each other."""
    generator = torch.Generator().manual_seed(0)
    centres = 40 * torch.randn(10, 8, generator=generator)

    def draw(classes: int) -> torch.Tensor:
        chosen = torch.randint(0, classes, (3_000,), generator=generator)
        return centres[chosen] + torch.randn(3_000, 8, generator=generator)

    real, other, nine = draw(10), draw(10), draw(9)
    ideal, found = nearest_neighbours(real, other), nearest_neighbours(real, nine)
    assert ideal["real"] == pytest.approx(0.5, abs=0.03)
    # A tenth of them is certain; of the rest there are fewer than of samples.
    assert found["real"] - ideal["real"] > 0.025
    assert found["samples"] - ideal["samples"] > 0.01


def test_coverage_is_prdcs() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(1_300, 6, generator=generator)
    samples = 0.8 * torch.randn(900, 6, generator=generator) + 0.5
    expected = prdc.compute_prdc(real.numpy(), samples.numpy(), nearest_k=5)["coverage"]
    assert coverage(real, radii(real), samples) == pytest.approx(expected)
    assert 0.2 < expected < 0.8


def test_a_sample_as_far_as_the_fifth_neighbour_covers_nothing_as_in_prdc() -> None:
    real, samples = torch.arange(12.0)[:, None], torch.full((8, 1), -5.0)
    expected = prdc.compute_prdc(real.numpy(), samples.numpy(), nearest_k=5)["coverage"]
    assert coverage(real, radii(real), samples) == expected == 0


def test_coverage_of_fewer_images_than_neighbours() -> None:
    real = torch.tensor([[0.0], [1.0], [3.0]])
    # Their farthest neighbours are 3, 2 and 3 away.
    assert radii(real).tolist() == [9.0, 4.0, 9.0]
    assert coverage(real, radii(real), torch.tensor([[-2.0]])) == pytest.approx(1 / 3)


def test_the_ratio_of_distances_is_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    training = torch.randn(700, 6, generator=generator)
    images = torch.randn(1_200, 6, generator=generator)
    distances, _ = NearestNeighbors(n_neighbors=2).fit(training.numpy()).kneighbors(images.numpy())
    expected = torch.from_numpy(distances[:, 0] / distances[:, 1])
    torch.testing.assert_close(
        nearest_ratio(images, training), expected.double(), atol=1e-6, rtol=0
    )


def test_the_ratio_is_zero_of_copies_and_one_where_two_are_as_near() -> None:
    # Far from the origin, where products of features lose the digits of a small distance.
    training = 1_000 + torch.tensor([[0.0], [4.0], [4.0], [9.0]])
    images = 1_000 + torch.tensor([[0.0], [4.0], [2.0], [8.0]])
    assert nearest_ratio(images, training).tolist() == pytest.approx([0, 1, 1, 0.25])


@pytest.mark.parametrize("dimensions", [3, 64])
@pytest.mark.parametrize("apart", [0.0, 1e3, 1e6])
def test_the_ratio_is_that_of_the_differences_however_far_clusters_lie_apart(
    apart: float, dimensions: int
) -> None:
    """Where products in float32 cannot tell which image is nearest, all are looked at."""
    generator = torch.Generator().manual_seed(0)
    centres = apart * torch.randn(2, dimensions, generator=generator)
    training = centres[torch.arange(300) % 2] + torch.randn(300, dimensions, generator=generator)
    images = centres[torch.arange(90) % 2] + torch.randn(90, dimensions, generator=generator)
    images[0] = training[7]
    differences = images[:, None].double() - training[None].double()
    two = differences.norm(dim=2).sort(dim=1).values[:, :2]
    assert torch.equal(nearest_ratio(images, training), two[:, 0] / two[:, 1])
    assert nearest_ratio(images, training)[0] == 0
