"""Live problems: scikit-learn's models on the data it carries, three-fold cross-validated.

Each fit is real and cheap. What was measured is kept in `results/search/live/`, so that a
configuration is never fitted twice; the figures of different versions of scikit-learn are apart.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from attain.core.space import Categorical, Condition, Config, Float, Int, Space

RESULTS = Path(__file__).resolve().parents[1] / "results" / "search"
FOLDS = 3
WORST = {"diabetes": 150.0, "wine": 3.0}  # losses are cut off here, failed fits get this


@dataclass(frozen=True)
class Model:
    """A model to tune.

    Attributes:
        space: Its parameters with scikit-learn's defaults.
        make: From a configuration to an estimator.
    """

    space: Space
    make: Callable[[Config], Any] = field(repr=False)


def _if(parent: str, *values: Any) -> tuple[Condition, ...]:
    return (Condition(parent, values),)


SVR_SPACE = Space(
    (
        Categorical(name="kernel", choices=("rbf", "linear", "poly", "sigmoid"), default="rbf"),
        Float(name="C", low=1e-3, high=1e4, scale="log", default=1.0),
        Float(name="epsilon", low=1e-3, high=1e2, scale="log", default=0.1),
        Float(
            **{"name": "gamma", "low": 1e-4, "high": 10.0, "scale": "log", "default": 0.1},
            when=_if("kernel", "rbf", "poly", "sigmoid"),
        ),
        Float(name="coef0", low=-1.0, high=1.0, default=0.0, when=_if("kernel", "poly", "sigmoid")),
        Int(name="degree", low=2, high=5, default=3, when=_if("kernel", "poly")),
    )
)
FOREST_SPACE = Space(
    (
        Int(name="n_estimators", low=5, high=50, scale="log", default=50),
        Categorical(name="criterion", choices=("gini", "entropy"), default="gini"),
        Int(name="max_depth", low=1, high=20, default=20),
        Int(name="min_samples_split", low=2, high=20, default=2),
        Int(name="min_samples_leaf", low=1, high=20, default=1),
        Float(name="max_features", low=0.05, high=1.0, default=0.28),
        Categorical(name="bootstrap", choices=(True, False), default=True),
        Float(name="max_samples", low=0.1, high=1.0, default=1.0, when=_if("bootstrap", True)),
    )
)
MLP_SPACE = Space(
    (
        Categorical(name="solver", choices=("adam", "sgd", "lbfgs"), default="adam"),
        Categorical(name="activation", choices=("relu", "tanh", "logistic"), default="relu"),
        Int(name="layers", low=1, high=3, default=1),
        Int(name="units", low=4, high=128, scale="log", default=100),
        Float(name="alpha", low=1e-6, high=10.0, scale="log", default=1e-4),
        Float(
            **{"name": "rate", "low": 1e-4, "high": 0.3, "scale": "log", "default": 1e-3},
            when=_if("solver", "adam", "sgd"),
        ),
        Int(
            **{"name": "batch", "low": 8, "high": 128, "scale": "log", "default": 32},
            when=_if("solver", "adam", "sgd"),
        ),
        Float(name="momentum", low=0.0, high=0.99, default=0.9, when=_if("solver", "sgd")),
        Int(name="iterations", low=5, high=60, scale="log", default=40),
    )
)
KNN_SPACE = Space(
    (
        Int(name="neighbors", low=1, high=100, scale="log", default=5),
        Categorical(name="weights", choices=("uniform", "distance"), default="uniform"),
        Categorical(
            **{"name": "metric", "default": "minkowski"},
            choices=("minkowski", "chebyshev", "canberra", "cosine"),
        ),
        Float(name="p", low=1.0, high=5.0, default=2.0, when=_if("metric", "minkowski")),
        Categorical(
            **{"name": "scale", "default": "standard"},
            choices=("none", "standard", "minmax", "quantile"),
        ),
        Int(name="components", low=1, high=10, default=10),
    )
)


def _svr(c: Config) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR

    return make_pipeline(StandardScaler(), SVR(**c, max_iter=20_000))


def _forest(c: Config) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(**c, random_state=0, n_jobs=1)


def _mlp(c: Config) -> Any:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    layers = (int(c["units"]),) * int(c["layers"])
    more = {"solver": c["solver"], "activation": c["activation"], "alpha": c["alpha"]}
    if c["solver"] != "lbfgs":
        more |= {"learning_rate_init": c["rate"], "batch_size": c["batch"]}
    if c["solver"] == "sgd":
        more["momentum"] = c["momentum"]
    net = MLPClassifier(layers, max_iter=int(c["iterations"]), random_state=0, **more)
    return make_pipeline(StandardScaler(), net)


def _knn(c: Config) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, StandardScaler

    scales = {
        "none": "passthrough",
        "standard": StandardScaler(),
        "minmax": MinMaxScaler(),
        "quantile": QuantileTransformer(n_quantiles=100),
    }
    metric: dict[str, Any] = {"metric": c["metric"]} | ({"p": c["p"]} if "p" in c else {})
    knn = KNeighborsRegressor(int(c["neighbors"]), weights=c["weights"], **metric)
    return make_pipeline(scales[str(c["scale"])], PCA(int(c["components"]), random_state=0), knn)


MODELS: Mapping[str, Model] = {
    "svr": Model(SVR_SPACE, _svr),
    "forest": Model(FOREST_SPACE, _forest),
    "mlp": Model(MLP_SPACE, _mlp),
    "knn": Model(KNN_SPACE, _knn),
}


@cache
def _rows(name: str) -> tuple[Any, Any, list[Any], str]:
    from sklearn import datasets
    from sklearn.model_selection import KFold, StratifiedKFold

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    regression = name == "diabetes"
    kind = KFold if regression else StratifiedKFold
    folds = list(kind(FOLDS, shuffle=True, random_state=0).split(X, y))
    return X, y, folds, "rmse" if regression else "log_loss"


def live_loss(config: Config, model: str, rows: str) -> float:
    """Mean loss over the folds: root mean squared error, or log loss.

    Args:
        config: Of the model's space.
        model: A name in MODELS.
        rows: A name of scikit-learn's bundled data.

    Returns:
        At most WORST, also when a fit fails or does not converge to finite numbers.
    """
    import numpy as np
    from sklearn.metrics import log_loss

    X, y, folds, metric = _rows(rows)
    found = []
    for train, valid in folds:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                fitted = MODELS[model].make(config).fit(X[train], y[train])
                if metric == "rmse":
                    gap = fitted.predict(X[valid]) - y[valid]
                    found.append(math.sqrt(float(np.mean(gap**2))))
                else:
                    chances = fitted.predict_proba(X[valid])
                    found.append(float(log_loss(y[valid], chances, labels=np.unique(y))))
            except ValueError:  # weights or predictions that are not finite
                return WORST[rows]
    mean = sum(found) / len(found)
    return min(mean, WORST[rows]) if math.isfinite(mean) else WORST[rows]


@dataclass(frozen=True)
class Memo:
    """Losses measured before, one line each in a file that several processes may append to.

    Attributes:
        file: Where they are kept.
        known: What has been read or added.
    """

    file: Path
    known: dict[str, float]

    @classmethod
    def of(cls, name: str) -> Memo:
        """The memo of a problem under this version of scikit-learn."""
        from importlib.metadata import version

        file = RESULTS / "live" / f"{name}-{version('scikit-learn')}.jsonl"
        known = {}
        if file.exists():
            for line in file.read_text().splitlines():
                try:
                    key, loss = json.loads(line)
                except ValueError:  # a line that was being written when the process ended
                    continue
                known[key] = loss
        return cls(file, known)

    def get(self, config: Config, measure: Callable[..., float], *more: Any) -> float:
        """The loss of a configuration, measured only if it is new."""
        key = json.dumps(dict(config), sort_keys=True)
        if key not in self.known:
            self.known[key] = measure(config, *more)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a") as file:
                file.write(json.dumps([key, self.known[key]]) + "\n")
        return self.known[key]
