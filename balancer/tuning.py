"""The constants of the policies, each with where it comes from. One frozen record; tests and simulations may pass another."""

from __future__ import annotations

from dataclasses import dataclass

_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the policies take for granted.

    Attributes:
        margin: a move's predicted saving must be so many times its predicted cost. Both are wrong by up to a factor of two.
        least_rate: of a device's time, what a move must save in each second: below it the measured utilisations are noise.
        horizon_s: a session is not expected to go on for longer than this.
        cooldown_s: a session rests after its first move; after its second twice as long, up to `longest_cooldowns` times.
        restless_s: a session that has moved within this time moves again only for a larger saving: `least_rate` once more for each of its
            moves, up to `most_restless`. Noise alone would send it back and forth.
        retry_s: after a move that failed; twice as long after each further one, up to `longest_retry_s`.
        pause_s: of a move whose copy converges, as the client sees it.
        longest_pause_s: a move that must stop its session for longer is not made.
        share_of_copy: how much of a device's time a running copy takes from its sessions.
        cold_s: a destination without a warm server must start one.
        local_bytes_a_s, remote_bytes_a_s: of links that no move has measured, on one host and between hosts.
        converges: a copy converges while the session's writes stay under this share of the link.
        last_rest_bytes: what is left for the pause when a copy has converged.
        full: the most that a device's utilisation counts: what is busier tells nothing more about how much is wanted of it.
        foreign: load of a device beyond its sessions' own counts above this; below it is the lag of the measurements.
        settled_s: a session's own utilisation is not believed before this age: it has had two samples then.
        waited_s: who waits for less may get room by itself: a server that starts, a session that ends.
        power_warm, power_hot: shares of the power limit. Above the first a device takes no session, above the second it gives some away.
        packed: the most that `pack` lets a device be utilised.
        dgsf_cooldown_s: DGSF's own rest after a migration, of the whole pool.
        reach: how many destinations are looked at for one session.
        most_moves: of one decision. The next one, a quarter of a second later, goes on with what is left.
        most_sources: how many contended devices one decision looks into; the next goes on behind them. Bounds its time.
    """

    margin: float = 2.0
    least_rate: float = 0.1
    horizon_s: float = 60.0
    cooldown_s: float = 5.0
    longest_cooldowns: int = 8
    restless_s: float = 120.0
    most_restless: int = 4
    retry_s: float = 5.0
    longest_retry_s: float = 300.0
    pause_s: float = 0.1
    longest_pause_s: float = 2.0
    share_of_copy: float = 0.25
    cold_s: float = 0.5
    local_bytes_a_s: float = 2000.0 * _MB
    remote_bytes_a_s: float = 500.0 * _MB
    converges: float = 0.8
    last_rest_bytes: int = 16 * _MB
    full: float = 0.99
    foreign: float = 0.15
    settled_s: float = 0.5
    waited_s: float = 1.0
    power_warm: float = 0.80
    power_hot: float = 0.89
    packed: float = 0.8
    dgsf_cooldown_s: float = 5.0
    reach: int = 64
    most_moves: int = 64
    most_sources: int = 512
