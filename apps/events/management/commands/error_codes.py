from typing import Any

from apps.common.commands import SaldoCommand
from apps.common.error_codes import ADVICE


class Command(SaldoCommand):
    help = "The error catalogue: every code, what it means, what it means for stock, what to do."

    def run(self, **options: Any) -> dict[str, Any]:
        return {
            code: {
                "meaning": str(advice.meaning),
                "stock": str(advice.stock),
                "action": str(advice.action),
                "passes_by_itself": advice.passes,
            }
            for code, advice in sorted(ADVICE.items())
        }

    def say(self, result: dict[str, Any]) -> None:
        for code, told in result.items():
            self.stdout.write(f"{code}: {told['meaning']} {told['stock']} {told['action']}")
