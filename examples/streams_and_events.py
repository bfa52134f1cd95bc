"""Two streams that work side by side, an event that one waits for, and the time between two events.

python streams_and_events.py
"""

import cupy as cp
import numpy as np

SIZE = 300
ROUNDS = 20


def main():
    rng = np.random.default_rng(5)
    host = rng.standard_normal((SIZE, SIZE)) / SIZE
    matrix = cp.asarray(host)
    begin, first_done, end = cp.cuda.Event(), cp.cuda.Event(disable_timing=True), cp.cuda.Event()
    one, two = cp.cuda.Stream(non_blocking=True), cp.cuda.Stream(non_blocking=True)
    uploaded = cp.cuda.get_current_stream().record()

    with one:
        one.wait_event(uploaded)
        begin.record()
        powers = matrix
        for _ in range(ROUNDS):
            powers = matrix @ powers + matrix
        first_done.record()

    with two:
        two.wait_event(uploaded)
        waves = matrix
        for _ in range(ROUNDS):
            waves = cp.sin(waves) * 0.5 + matrix
        two.wait_event(first_done)  # from here on this stream sees what the first one made
        result = powers + waves
        end.record()

    end.synchronize()
    elapsed_ms = cp.cuda.get_elapsed_time(begin, end)
    assert end.done and elapsed_ms >= 0

    expected_powers, expected_waves = host, host
    for _ in range(ROUNDS):
        expected_powers = host @ expected_powers + host
        expected_waves = np.sin(expected_waves) * 0.5 + host
    worst = float(np.abs(cp.asnumpy(result) - expected_powers - expected_waves).max())
    assert worst < 1e-9, worst
    print(f"two streams, {2 * ROUNDS} rounds, {'0' if elapsed_ms == 0 else 'more than 0'} ms between the events")
    print(f"checked against NumPy: within {worst:.1e}")


main()
