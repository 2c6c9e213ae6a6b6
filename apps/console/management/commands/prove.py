import sys
from typing import Any

from apps.common.commands import SaldoCommand
from apps.console.proof import prove_all


class Command(SaldoCommand):
    help = "Check every invariant on the live data, read-only. Exit code 1 when something does not hold."

    is_broken = False

    def run(self, **options: Any) -> dict[str, Any]:
        findings = prove_all()
        self.is_broken = bool(findings)
        return {
            "holds": not findings,
            "findings": [
                {"rule": finding.rule, "count": finding.count, "examples": finding.examples} for finding in findings
            ],
        }

    def say(self, result: dict[str, Any]) -> None:
        for finding in result["findings"]:
            self.stdout.write(f"BROKEN in {finding['count']} rows: {finding['rule']}")
            for example in finding["examples"]:
                self.stdout.write("   " + ", ".join(f"{name}={value}" for name, value in example.items()))
        if result["holds"]:
            self.stdout.write("Everything holds: balances, reservations, events and synchronisations agree.")

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if self.is_broken:
            sys.exit(1)
