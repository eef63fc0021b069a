# SPDX-License-Identifier: Apache-2.0
"""What `tachyon doctor` has found."""

from __future__ import annotations

from dataclasses import dataclass

GOOD, NOTE, BAD = "ok", "note", "FAIL"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; text: cause and value, if BAD also the way out."""

    verdict: str
    subject: str
    text: str

    def as_json(self) -> dict[str, str]:
        """Return it as --json shows it."""
        return {
            "verdict": self.verdict.lower(),
            "subject": self.subject,
            "text": self.text,
        }
