"""Faust, corrected: at-least-once without loss, by subclasses of its own classes (docs/faust-corrections.md).

Wiring, by Faust's own factories:

    App._new_transport, _new_producer_transport -> CorrectedTransport (class attributes Consumer, Producer)
    Consumer._new_consumer_thread               -> CorrectedConsumerThread
    setting TableManager                        -> CorrectedTableManager.recovery -> CorrectedRecovery
    setting Stream                              -> CorrectedStream
    app.sensors                                 -> FailStop
"""

from watson.agents.transport.app import TransportApp
from watson.agents.transport.tables import MarkTable
from watson.agents.transport.worker import run
from watson.errors import EmitFailed, PartitionRevoked

__all__ = ["EmitFailed", "MarkTable", "PartitionRevoked", "TransportApp", "run"]
