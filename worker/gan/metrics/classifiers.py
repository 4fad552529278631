"""What classifiers say of generated rows: whether they tell them from real ones, and what can be learnt from them."""

import warnings

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from worker.gan.metrics.neighbours import less_than

TREES = 100  # fewer leave a row too few judges


def detection_auc(real: np.ndarray, made: np.ndarray) -> float:
    """Return the area under the curve of a random forest that tells made from real features (N, D), each row judged by
    the trees that have not seen it: 1/2 when they cannot (Lopez-Paz and Oquab 2017; Breiman 2001, section 3.1).

    Five-fold cross-validation gives the same within 0.005 and takes four times as long.
    """
    rows, is_made = np.concatenate([real, made]), np.repeat([False, True], [len(real), len(made)])
    forest = RandomForestClassifier(TREES, oob_score=True, random_state=0).fit(rows, is_made)
    chance = forest.oob_decision_function_[:, 1]
    return less_than(chance[~is_made], chance[is_made])


def train_on_made_test_on_real(
    made: np.ndarray, made_labels: np.ndarray, real: np.ndarray, real_labels: np.ndarray
) -> float:
    """Return the accuracy on real features (N, D) of a logistic regression that has only seen made ones (Esteban,
    Hyland and Rätsch 2017). Where only one class was made, it knows no other.
    """
    if len(np.unique(made_labels)) < 2:
        return float((real_labels == made_labels[0]).mean())
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(made, made_labels)
    return float(model.score(real, real_labels))
