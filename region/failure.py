"""How an invocation fails."""

from __future__ import annotations


class Failed(Exception):
    """An invocation raised: the type and the message that Lambda would answer."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message

    def payload(self) -> dict[str, str]:
        """The answer's body."""
        return {"errorMessage": self.message, "errorType": self.error_type}
