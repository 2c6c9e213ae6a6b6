"""Proof that what sources told and what the ledger holds are the same. Reads only, one query a rule."""

from apps.common.findings import Finding, check

RULES = {
    "what an applied event moved is what it says": """
        SELECT e.id, e.tenant_id, e.event_id, e.movement_type, e.quantity, e.movement_ids,
               count(m.id) AS movements,
               sum(m.on_hand_delta) FILTER (WHERE m.kind <> 'COUNT_ABSORB' AND m.location_id = e.location_id) AS moved
          FROM source_event e LEFT JOIN inventory_ledger m
            ON m.id = ANY(e.movement_ids) AND m.tenant_id = e.tenant_id AND m.source_key = e.event_id
           AND m.product_id = e.product_id
         WHERE e.status = 'APPLIED'
         GROUP BY e.id
        HAVING count(m.id) <> cardinality(e.movement_ids)
            OR (e.movement_type <> 'COUNT' AND e.quantity IS DISTINCT FROM
                sum(m.on_hand_delta) FILTER (WHERE m.kind <> 'COUNT_ABSORB' AND m.location_id = e.location_id))""",
    "every movement of a source belongs to one event, and to one only": """
        SELECT m.id, m.tenant_id, m.source, m.source_key, count(e.id) AS events
          FROM inventory_ledger m LEFT JOIN source_event e
            ON e.tenant_id = m.tenant_id AND e.event_id = m.source_key AND m.id = ANY(e.movement_ids)
           AND e.source_id = split_part(m.actor, ':', 2)::bigint
         WHERE m.actor LIKE 'source:%%'
         GROUP BY m.id, m.tenant_id, m.source, m.source_key HAVING count(e.id) <> 1""",
    "a fact told with a business key moved stock once, and its claim names the event": """
        SELECT e.id, e.tenant_id, e.business_key, e.movement_type, c.event_id AS claimed_by
          FROM source_event e LEFT JOIN source_claim c
            ON (c.tenant_id, c.business_key) = (e.tenant_id, e.business_key)
           AND c.movement_type = CASE WHEN e.reverses_id IS NULL THEN e.movement_type ELSE 'REVERSAL' END
         WHERE e.status = 'APPLIED' AND e.business_key <> ''
           AND (c.event_id, c.source_id) IS DISTINCT FROM (e.event_id, e.source_id)""",
    "a claim names an applied event": """
        SELECT c.tenant_id, c.business_key, c.movement_type, c.event_id FROM source_claim c
         WHERE NOT EXISTS (SELECT FROM source_event e WHERE e.status = 'APPLIED'
                              AND (e.tenant_id, e.event_id, e.source_id) = (c.tenant_id, c.event_id, c.source_id))""",
    "a reversal undoes exactly the event it names": """
        SELECT r.id, r.tenant_id, r.event_id, r.quantity, e.event_id AS reversed, e.quantity AS its_quantity
          FROM source_event r JOIN source_event e ON e.id = r.reverses_id
         WHERE r.status = 'APPLIED' AND (e.status <> 'APPLIED' OR e.quantity <> -r.quantity
            OR (e.tenant_id, e.product_id, e.location_id) <> (r.tenant_id, r.product_id, r.location_id))""",
    "everything up to a counter's ack is stored, and what follows it is not": """
        WITH told AS (
            SELECT source_id, epoch, sequence FROM source_event WHERE sequence IS NOT NULL
            UNION
            SELECT e.source_id, f.epoch, f.sequence FROM source_conflict f JOIN source_event e ON e.id = f.event_id
             WHERE f.sequence IS NOT NULL), counted AS (
            SELECT c.id, count(t.sequence) FILTER (WHERE t.sequence BETWEEN c.start_seq AND c.ack_seq
                       AND (c.given_up = '[]' OR NOT EXISTS (
                           SELECT FROM jsonb_array_elements(c.given_up) AS g
                            WHERE t.sequence BETWEEN (g ->> 0)::bigint AND (g ->> 1)::bigint))) AS stored,
                   bool_or(t.sequence = c.ack_seq + 1) AS has_next,
                   bool_or(t.sequence NOT BETWEEN c.start_seq AND c.end_seq) AS is_outside
              FROM source_epoch c LEFT JOIN told t ON (t.source_id, t.epoch) = (c.source_id, c.epoch)
             GROUP BY c.id
        ), given AS (
            SELECT c.id, coalesce(sum((g ->> 1)::bigint - (g ->> 0)::bigint + 1), 0) AS up
              FROM source_epoch c LEFT JOIN LATERAL jsonb_array_elements(c.given_up) AS g
                ON (g ->> 0)::bigint <= c.ack_seq
             GROUP BY c.id)
        SELECT c.source_id, c.epoch, c.start_seq, c.ack_seq, c.end_seq, n.stored, given.up AS given_up
          FROM source_epoch c JOIN counted n USING (id) JOIN given USING (id)
         WHERE n.stored + given.up <> c.ack_seq - c.start_seq + 1 OR n.has_next OR n.is_outside""",
    "an open gap begins right after the ack": """
        SELECT c.source_id, c.epoch, c.ack_seq, c.gaps FROM source_epoch c
         WHERE (jsonb_array_length(c.gaps) = 0) <> (c.ack_seq = c.end_seq)
            OR (jsonb_array_length(c.gaps) > 0 AND (c.gaps #>> '{0,0}')::bigint <> c.ack_seq + 1)
            OR (jsonb_array_length(c.gaps) > 0) <> (c.gap_since IS NOT NULL)""",
}


def prove() -> list[Finding]:
    """Return every broken rule of the sources with the rows that show it."""
    return check(RULES)
