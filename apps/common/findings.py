"""What a check of live data found wrong."""

from dataclasses import dataclass

from django.db import connection

EXAMPLES_MAX = 20
"""Rows shown for one broken rule; the count tells how many there are."""

BROKEN_ROWS = "SELECT *, count(*) OVER () AS broken FROM ({query}) AS broken_rows LIMIT %s"


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule, and the rows that show it."""

    rule: str
    count: int
    examples: list[dict[str, object]]


def check(rules: dict[str, str]) -> list[Finding]:
    """Run each rule's query, which returns the rows that break it, and return what was found. Reads only."""
    findings = []
    with connection.cursor() as cursor:
        for rule, query in rules.items():
            cursor.execute(BROKEN_ROWS.format(query=query), [EXAMPLES_MAX])
            columns = [column.name for column in cursor.description or ()]
            rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            if rows:
                count = int(rows[0]["broken"])
                findings.append(Finding(rule, count, [{k: v for k, v in row.items() if k != "broken"} for row in rows]))
    return findings
