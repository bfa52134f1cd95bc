"""Price of an Asian option by Monte-Carlo simulation, with a European one simulated beside it as a check.

python monte_carlo.py [--numpy]
"""

import math
import sys

import numpy as np

if "--numpy" in sys.argv:
    import numpy as cp
else:
    import cupy as cp

PATHS = 100_000
STEPS = 50
SPOT, STRIKE, RATE, VOLATILITY, YEARS = 100.0, 105.0, 0.03, 0.25, 1.0


def simulate():
    """Mean and standard error of the discounted pay-offs: (asian mean, asian error, european mean, european error)."""
    cp.random.seed(2024)
    dt = YEARS / STEPS
    drift, spread = (RATE - 0.5 * VOLATILITY**2) * dt, VOLATILITY * math.sqrt(dt)
    log_price = cp.full(PATHS, math.log(SPOT))
    running_sum = cp.zeros(PATHS)
    for _ in range(STEPS):
        log_price += drift + spread * cp.random.standard_normal(PATHS)
        running_sum += cp.exp(log_price)
    discount = math.exp(-RATE * YEARS)
    numbers = []
    for final in (running_sum / STEPS, cp.exp(log_price)):
        payoff = discount * cp.maximum(final - STRIKE, 0)
        numbers += [payoff.mean(), payoff.std() / math.sqrt(PATHS)]
    return cp.stack(numbers)


def exact_european():
    """The Black–Scholes price."""
    d1 = (math.log(SPOT / STRIKE) + (RATE + 0.5 * VOLATILITY**2) * YEARS) / (VOLATILITY * math.sqrt(YEARS))
    d2 = d1 - VOLATILITY * math.sqrt(YEARS)
    cdf = [0.5 * (1 + math.erf(d / math.sqrt(2))) for d in (d1, d2)]
    return SPOT * cdf[0] - STRIKE * math.exp(-RATE * YEARS) * cdf[1]


def main():
    asian, asian_error, european, european_error = getattr(cp, "asnumpy", np.asarray)(simulate()).tolist()
    exact = exact_european()
    off = abs(european - exact) / european_error
    assert off < 4.5 and 0 < asian < european, (asian, european, exact, european_error)
    print(f"asian call {asian:.4f} ± {asian_error:.4f}, european call {european:.4f} ± {european_error:.4f}")
    print(f"checked against NumPy: the european price is {off:.1f} standard errors from the exact {exact:.4f}")


main()
