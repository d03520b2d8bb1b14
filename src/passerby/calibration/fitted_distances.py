"""Distances whose weights are estimated on persons that the model was not trained on."""

import numpy as np
from numpy.typing import NDArray

from passerby.calibration.cross_fitting import Fit, mean_ap, real_persons
from passerby.errors import InputError
from passerby.inference.embeddings import Embeddings
from passerby.ranking.distance import Distance, Features, Metric, columns

RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Added to the within-person covariance, in units of its mean variance: one of these."""

SHARES = (0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Weights of the attributes' squared distance beside the embedding's: one of these."""

_NOTHING = 1e-12
"""A variance within persons of this fraction of the values' squares is rounding."""

_CAUTIOUS_RIDGE = 3.0
_LEAST_PERSONS = 4
"""With fewer in each half, the ridge is not chosen but cautious."""


def recognition_weights(
    probabilities: NDArray[np.floating], labels: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Weight each attribute by how well it is recognised: Youden's J, 2 mA − 1, at least 0.

    1 for an attribute that is always right, 0 for one that is guessed, or that nobody or everybody
    has. (The course report weighted its distance by recognition, too, without saying how.)

    Args:
        probabilities: shape (N, attributes), of crops that no weight was trained on.
        labels: 1, 0 or NaN where unknown, shape (N, attributes).

    Returns:
        float64, shape (attributes,), in [0, 1].
    """
    found, yes, no = probabilities >= 0.5, labels >= 0.5, labels < 0.5
    positives, negatives = yes.sum(axis=0), no.sum(axis=0)
    true_positive = (found & yes).sum(axis=0) / np.maximum(positives, 1)
    true_negative = (~found & no).sum(axis=0) / np.maximum(negatives, 1)
    known = (positives > 0) & (negatives > 0)
    return np.where(known, np.maximum(true_positive + true_negative - 1, 0), 0)


def fit_weighted_distance(
    people: Embeddings, features: Features = "logits", metric: Metric = "normalized_euclidean"
) -> Distance:
    """Return a distance of the attributes, weighted by how well each is recognised.

    A model that recognises none gives all the same weight.

    Args:
        people: of annotated crops of persons that the model was not trained on.
        features: "attributes" or "logits".
        metric: of the weighted vectors.

    Raises:
        InputError: the crops have no labels, or those of other attributes than the model's.
    """
    if people.crops.labels is None:
        raise InputError("These crops have no attribute annotations to weight by: add them.")
    if people.crops.schema != people.schema:
        raise InputError(
            "The labels are of other attributes than the model's: map them to its schema first."
        )
    weights = recognition_weights(people.known_attributes, people.crops.labels)
    if not weights.any():
        weights = np.ones_like(weights)
    return Distance(features=features, metric=metric, weights=tuple(weights.tolist()))


def fit_learned_distance(
    people: Embeddings,
    features: Features = "logits",
    metric: Metric = "normalized_euclidean",
    *,
    ridge: float | None = None,
) -> Distance:
    """Learn one more linear layer, which turns attribute outputs into an identity distance.

    It shrinks the directions in which crops of one person differ: the layer is Σ^(−1/2) of their
    covariance Σ within persons, so that the Euclidean distance after it is the Mahalanobis
    distance (Bar-Hillel et al., "Learning Distance Functions using Equivalence Relations" (RCA),
    ICML 2003). Σ is taken of the vectors as the metric compares them. It is learned on persons
    held out of the network's own training: of those it has memorised, crops of one person hardly
    differ.

    Args:
        people: of crops of such persons.
        features: what the layer takes.
        metric: of its outputs.
        ridge: added to Σ, in units of its mean variance; `best_ridge` if left out.

    Raises:
        InputError: no person has two crops, or all crops of each person are equal.
    """
    people = real_persons(people)
    if ridge is None:
        ridge = best_ridge(people, features, metric)
    values = columns(people, features).astype(np.float64)
    if metric == "normalized_euclidean":
        values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    _, owner, counts = np.unique(people.crops.person_codes, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), values.shape[1]))
    np.add.at(means, owner, values)
    residuals = values - (means / counts[:, None])[owner]
    freedom = len(values) - len(counts)
    if not freedom or (residuals**2).mean() <= _NOTHING * (values**2).mean():
        raise InputError(
            "No person appears in two different crops, so no distance can be learned: give crops "
            "of persons seen several times."
        )
    covariance = residuals.T @ residuals / freedom
    mean_variance = np.trace(covariance) / len(covariance)
    variances, directions = np.linalg.eigh(covariance)
    scales = 1 / np.sqrt(np.maximum(variances, 0) / mean_variance + ridge)
    layer = (directions * scales) @ directions.T
    return Distance(features=features, metric=metric, layer=tuple(map(tuple, layer.tolist())))


def fit_fused_distance(people: Embeddings, *, share: float | None = None) -> Distance:
    """Combine embedding and attributes: the sum of their squared distances, the latter weighted.

    Args:
        people: of crops of persons that the model was not trained on.
        share: weight of the attributes, both vectors having length 1; `best_share` if left out.
    """
    if share is None:
        share = best_share(people)
    sizes = people.vectors.shape[1], people.known_attributes.shape[1]
    return Distance(features="both", weights=(1.0,) * sizes[0] + (share,) * sizes[1])


def best_share(people: Embeddings) -> float:
    """Return the share of `SHARES` with the highest mAP on these persons."""

    def fitted(share: float) -> Fit:
        return lambda some: fit_fused_distance(some, share=share)

    return max(SHARES, key=lambda share: mean_ap(people, fitted(share)))


def best_ridge(
    people: Embeddings, features: Features = "logits", metric: Metric = "normalized_euclidean"
) -> float:
    """Return the ridge of `RIDGES` with the highest mAP on persons left out of the fit.

    With fewer than 4 persons in each half, a cautious one.
    """
    people = real_persons(people)
    counts = np.unique(people.crops.person_codes, return_counts=True)[1]
    if min((counts[::2] > 1).sum(), (counts[1::2] > 1).sum()) < _LEAST_PERSONS:
        return _CAUTIOUS_RIDGE

    def fitted(ridge: float) -> Fit:
        return lambda some: fit_learned_distance(some, features, metric, ridge=ridge)

    return max(RIDGES, key=lambda ridge: mean_ap(people, fitted(ridge)))
