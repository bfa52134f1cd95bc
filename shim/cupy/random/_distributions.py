"""Distributions of `cupy.random`, drawn from the global RandomState of the current device."""

from __future__ import annotations

from typing import Any

from ._generator import get_random_state


def beta(a: Any, b: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.beta`."""
    return get_random_state().beta(a, b, size, dtype)


def binomial(n: Any, p: Any, size: Any = None, dtype: Any = int) -> Any:
    """As `cupy.random.binomial`."""
    return get_random_state().binomial(n, p, size, dtype)


def chisquare(df: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.chisquare`."""
    return get_random_state().chisquare(df, size, dtype)


def exponential(scale: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.exponential`."""
    return get_random_state().exponential(scale, size, dtype)


def f(dfnum: Any, dfden: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.f`."""
    return get_random_state().f(dfnum, dfden, size, dtype)


def gamma(shape: Any, scale: Any = 1.0, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.gamma`."""
    return get_random_state().gamma(shape, scale, size, dtype)


def geometric(p: Any, size: Any = None, dtype: Any = "l") -> Any:
    """As `cupy.random.geometric`."""
    return get_random_state().geometric(p, size, dtype)


def gumbel(loc: Any = 0.0, scale: Any = 1.0, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.gumbel`."""
    return get_random_state().gumbel(loc, scale, size, dtype)


def hypergeometric(ngood: Any, nbad: Any, nsample: Any, size: Any = None, dtype: Any = "l") -> Any:
    """As `cupy.random.hypergeometric`."""
    return get_random_state().hypergeometric(ngood, nbad, nsample, size, dtype)


def laplace(loc: Any = 0.0, scale: Any = 1.0, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.laplace`."""
    return get_random_state().laplace(loc, scale, size, dtype)


def logistic(loc: Any = 0.0, scale: Any = 1.0, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.logistic`."""
    return get_random_state().logistic(loc, scale, size, dtype)


def lognormal(mean: Any = 0.0, sigma: Any = 1.0, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.lognormal`."""
    return get_random_state().lognormal(mean, sigma, size, dtype)


def logseries(p: Any, size: Any = None, dtype: Any = "l") -> Any:
    """As `cupy.random.logseries`."""
    return get_random_state().logseries(p, size, dtype)


def negative_binomial(n: Any, p: Any, size: Any = None, dtype: Any = int) -> Any:
    """As `cupy.random.negative_binomial`."""
    return get_random_state().negative_binomial(n, p, size, dtype)


def noncentral_chisquare(df: Any, nonc: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.noncentral_chisquare`."""
    return get_random_state().noncentral_chisquare(df, nonc, size, dtype)


def noncentral_f(dfnum: Any, dfden: Any, nonc: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.noncentral_f`."""
    return get_random_state().noncentral_f(dfnum, dfden, nonc, size, dtype)


def normal(loc: Any = 0.0, scale: Any = 1.0, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.normal`."""
    return get_random_state().normal(loc, scale, size, dtype)


def pareto(a: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.pareto`."""
    return get_random_state().pareto(a, size, dtype)


def poisson(lam: Any = 1.0, size: Any = None, dtype: Any = "l") -> Any:
    """As `cupy.random.poisson`."""
    return get_random_state().poisson(lam, size, dtype)


def power(a: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.power`."""
    return get_random_state().power(a, size, dtype)


def rayleigh(scale: Any = 1.0, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.rayleigh`."""
    return get_random_state().rayleigh(scale, size, dtype)


def standard_cauchy(size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.standard_cauchy`."""
    return get_random_state().standard_cauchy(size, dtype)


def standard_exponential(size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.standard_exponential`."""
    return get_random_state().standard_exponential(size, dtype)


def standard_gamma(shape: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.standard_gamma`."""
    return get_random_state().standard_gamma(shape, size, dtype)


def standard_normal(size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.standard_normal`."""
    return get_random_state().standard_normal(size, dtype)


def standard_t(df: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.standard_t`."""
    return get_random_state().standard_t(df, size, dtype)


def triangular(left: Any, mode: Any, right: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.triangular`."""
    return get_random_state().triangular(left, mode, right, size, dtype)


def uniform(low: Any = 0.0, high: Any = 1.0, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.uniform`."""
    return get_random_state().uniform(low, high, size, dtype)


def vonmises(mu: Any, kappa: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.vonmises`."""
    return get_random_state().vonmises(mu, kappa, size, dtype)


def wald(mean: Any, scale: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.wald`."""
    return get_random_state().wald(mean, scale, size, dtype)


def weibull(a: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.weibull`."""
    return get_random_state().weibull(a, size, dtype)


def zipf(a: Any, size: Any = None, dtype: Any = int) -> Any:
    """As `cupy.random.zipf`."""
    return get_random_state().zipf(a, size, dtype)


def dirichlet(alpha: Any, size: Any = None, dtype: Any = float) -> Any:
    """As `cupy.random.dirichlet`."""
    return get_random_state().dirichlet(alpha, size, dtype)


def multivariate_normal(
    mean: Any, cov: Any, size: Any = None, check_valid: str = "ignore", tol: float = 1e-08, method: str = "cholesky",
    dtype: Any = float,
) -> Any:  # fmt: skip
    """As `cupy.random.multivariate_normal`."""
    return get_random_state().multivariate_normal(mean, cov, size, check_valid, tol, method, dtype)
