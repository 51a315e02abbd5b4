-- What this shard holds of the ring.
SELECT arc.first, arc.last, arc.state, arc.peer FROM ringshard.arc ORDER BY arc.first
