"""Two ways to use a page: by mouse, and by keyboard alone. A task is told once and done by either.

The keyboard goes from control to control with Tab, as somebody does who cannot hold a mouse, and looks at each stop:
the focus is seen (WCAG 2.4.7), nothing lies over it (2.4.11), and the order is the page's own (2.4.3). A control that
Tab does not reach fails the task.
"""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

TABS_MAX = 250
"""The menu, a list of fifty rows and its links are fewer."""

STOP = """
() => {
  const one = document.activeElement;
  if (!one || one === document.body || one === document.documentElement) return null;
  const look = getComputedStyle(one);
  const ringed = look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 1;
  const room = { right: innerWidth, bottom: innerHeight };
  let free = false, over = "the window's edge";
  for (const box of one.getClientRects()) {
    for (const [across, down] of [[0.5, 0.5], [0.1, 0.2], [0.9, 0.8], [0.1, 0.8], [0.9, 0.2]]) {
      const x = box.left + box.width * across;
      const y = box.top + box.height * down;
      if (x < 0 || y < 0 || x > room.right || y > room.bottom) continue;
      const hit = document.elementFromPoint(x, y);
      if (hit && (one.contains(hit) || (one.labels && Array.from(one.labels).some((label) => label.contains(hit)))))
        free = true;
      else if (hit) over = `${hit.tagName}.${hit.className}`;
    }
  }
  const before = window.stopBefore;
  const goesOn = !before || !before.isConnected ||
    Boolean(before.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING);
  window.stopBefore = one;
  const words = one.getAttribute("aria-label") || one.textContent || one.name || "";
  return { name: `${one.tagName} ${words.trim().slice(0, 50)}`, ringed, free, over, goesOn };
}
"""


class Mouse:
    """Points and clicks; types only into fields."""

    def __init__(self, page: Page, *, has_script: bool = True) -> None:
        self.page, self.has_script = page, has_script

    def press(self, control: Locator) -> None:
        control.click()

    def write(self, field: Locator, text: str) -> None:
        field.click()
        field.press("Control+a")
        self.page.keyboard.type(text)

    def choose(self, field: Locator, value: str) -> None:
        field.select_option(value)  # the list that opens is the system's, not the page's

    def search(self, text: str) -> None:
        """Use the field in the menu."""
        open_menu(self)
        field = self.page.locator("#side-search")
        self.write(field, text)
        self.press(field.locator("xpath=..").get_by_role("button"))


class Keyboard:
    """Tab, Shift+Tab, Enter, Space, arrows and typing; nothing else."""

    def __init__(self, page: Page, *, has_script: bool = True) -> None:
        self.page, self.has_script = page, has_script

    def press(self, control: Locator) -> None:
        self._go_to(control)
        kind = control.evaluate("(one) => one.type === 'checkbox' || one.tagName === 'SUMMARY'")
        self.page.keyboard.press("Space" if kind else "Enter")

    def write(self, field: Locator, text: str) -> None:
        self._go_to(field)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def choose(self, field: Locator, value: str) -> None:
        self._go_to(field)
        options = field.evaluate("(one) => Array.from(one.options).map((option) => option.value)")
        self.page.keyboard.press("Home")
        for _ in options:
            if field.input_value() == value:
                return
            self.page.keyboard.press("ArrowDown")
        assert field.input_value() == value, f"the arrows do not reach {value} of {options}"

    def search(self, text: str) -> None:
        """Use Ctrl+K, from wherever the focus is."""
        self.page.keyboard.press("Control+k")
        expect(self.page.locator("#dialog-search")).to_be_focused()
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def _go_to(self, control: Locator) -> None:
        expect(control).to_be_visible()
        stops: list[str] = []
        for _ in range(TABS_MAX):
            if control.evaluate("(one) => one === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
            stop: dict[str, Any] | None = self.page.evaluate(STOP)
            if stop is None:  # past the page's end, round to its beginning
                self.page.evaluate("window.stopBefore = null")
                continue
            assert stop["ringed"], f"the focus is not seen on {stop['name']}"
            assert stop["free"], f"{stop['over']} lies over the focus on {stop['name']}"
            assert stop["goesOn"], f"Tab goes back in the page: {stops[-1:]}, then {stop['name']}"
            stops.append(stop["name"])
        raise AssertionError(f"{TABS_MAX} times Tab do not reach {control}; they reach {stops}")


Hands = Mouse | Keyboard


def brought(hands: Hands, what: Locator) -> None:
    """Wait until the page shows it by itself; where no script runs, ask for the page again, as a person does."""
    if not hands.has_script:
        hands.page.reload()
    expect(what).to_be_visible(timeout=15_000)


def open_menu(hands: Hands) -> None:
    """Unfold the menu, where the window is so narrow that it is folded."""
    button = hands.page.locator("[data-menu]")
    if button.is_visible() and button.get_attribute("aria-expanded") != "true":
        hands.press(button)


def go(hands: Hands, name: str) -> None:
    """Open a page by the menu."""
    open_menu(hands)
    named = re.compile(rf"^{re.escape(name)}( \d+)?$")  # how many are pending stands beside the name
    link = hands.page.get_by_role("navigation").first.get_by_role("link", name=named)
    hands.press(link)
    expect(hands.page.locator("h1")).to_be_visible()
