"""Options of the random changes to training pairs."""

from typing import Literal, Self

from pydantic import Field, model_validator

from s2s.recipe.filters import Share
from s2s.recipe.options import Options


class AugmentationOptions(Options):
    """Random changes to training pairs, drawn anew each epoch. Placeholders, tags and user symbols stay as they are."""

    upper_case: Share = Field(0.0, description="share of training examples in upper case, on both sides")
    title_case: Share = Field(
        0.0, description="share of training examples whose words all start with a capital, on both sides"
    )
    no_final_punctuation: Share = Field(
        0.0, description="share of training examples without the punctuation at their end, if both sides have some"
    )
    typos: Share = Field(
        0.0,
        description="share of training examples with typing errors in the source: letters swapped, left out, doubled "
        "or replaced by a neighbour on the keyboard",
    )
    typo_rate: float = Field(
        0.03, gt=0, le=0.2, description="typing errors per letter of an example that has any, and at least one"
    )
    merge: Share = Field(
        0.0,
        description="share of training examples that are several pairs joined, so that training includes long lines "
        "and lines of several sentences, within the limits of data.filters",
    )
    merge_lines: int = Field(
        4, ge=2, le=10, description="maximum number of pairs joined; all numbers from 2 are equally frequent"
    )
    merge_with: Literal["next", "random"] = Field(
        "next",
        description="what a pair is joined with; next: the pairs after it in its file; random: any other pairs "
        "(Nguyen, Murray and Chiang 2021)",
    )

    @property
    def changes_texts(self) -> bool:
        """Whether it changes letters or punctuation."""
        return any((self.upper_case, self.title_case, self.no_final_punctuation, self.typos))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.upper_case + self.title_case > 1:
            raise ValueError(f"upper_case ({self.upper_case}) and title_case ({self.title_case}) exceed 1 together")
        return self
