-- What this shard holds of the ring.
SELECT arc.first, arc.last, arc.state, arc.transfer_to FROM ringshard.arc ORDER BY arc.first
