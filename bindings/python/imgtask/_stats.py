"""What a client has done so far."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stats:
    """What a client has done so far."""

    #: Jobs accepted and not yet delivered.
    pending: int
    #: Calls running now.
    in_flight: int
    #: Events not yet read.
    events_waiting: int
    #: Status requests sent.
    looks: int
    #: All requests sent, downloads included.
    requests: int
    #: Answers with HTTP 429.
    rate_limited: int
    #: Requests sent again after a failure.
    retries: int
    #: Body bytes received.
    bytes_received: int
    #: Requests a minute that the client allows itself now; 0 while the service wants a pause.
    gate_per_minute: int
    #: Milliseconds until the request budget allows the next request, 0 at once.
    gate_wait_ms: int
    #: Milliseconds that looking at every pending task once takes, 0 without any.
    sweep_ms: int
    #: Half of the pending tasks were looked at within so many milliseconds, -1 unknown.
    staleness_p50_ms: int
    #: 95 % of the pending tasks were looked at within so many milliseconds, -1 unknown.
    staleness_p95_ms: int
    #: Connections opened.
    connections_opened: int
    #: Threads of the library that live now.
    threads: int
    #: Looks that failed one after another, of whichever task; 0 once one is answered. The log tells why.
    consecutive_failures: int
