"""Which items of large jobs are looked at, when looking at all of them would take too long.

Items of jobs lie side by side as numbers of stretches. Some probes, evenly spread, tell roughly where those of a
state are: they are claimed in their order, so that those that are done are at the front and those that are not at the
end. There every n-th item is looked at (systematic sampling: Cochran, "Sampling Techniques", chapter 8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from headgate.types import Frozen

Place = tuple[str, int]  # a job, and the number of an item
Probes = Mapping[str, Sequence[tuple[int, bool]]]  # by job: a number, and whether its item is one of those wanted
SPARSE = 2  # at most so many are looked at for each that is wanted in the sample


class Stretch(Frozen, frozen=True, gc=False):
    """The items of a job from a number to another, both included; none if the last is before the first."""

    job_id: str
    first: int
    last: int

    @property
    def items(self) -> int:
        return max(0, self.last - self.first + 1)


def spread(stretches: Sequence[Stretch], step: int) -> Iterator[Place]:
    """Every item whose place among all of them is a multiple of `step`."""
    before = 0
    for stretch in stretches:
        until = before + stretch.items
        for place in range(before + step - before % step, until + 1, step):
            yield stretch.job_id, stretch.first + place - before - 1
        before = until


def narrowed(stretch: Stretch, probes: Probes, *, at_front: bool) -> Stretch:
    """Where the items that are wanted are, as far as probes tell: from the one before the first hit to the one after
    the last. Without a hit there may be some before the first probe, or behind the last if they are not at the front.
    """
    probed = probes.get(stretch.job_id, ())
    hits = [at for at, (_, is_hit) in enumerate(probed) if is_hit]
    first, last = (hits[0] - 1, hits[-1] + 1) if hits else ((-1, 0) if at_front else (len(probed) - 1, len(probed)))
    return Stretch(
        stretch.job_id,
        probed[first][0] + 1 if first >= 0 else stretch.first,
        probed[last][0] - 1 if last < len(probed) else stretch.last,
    )


def stride(wanted: int, items: int, most: int) -> int:
    """Every how many of `items`, of which so many are wanted, are looked at, to find about `most` of these. It is a
    power of two: of two strides one is a multiple of the other."""
    return 1 << max(0, -(-wanted // most) - 1, -(-items // (SPARSE * most)) - 1).bit_length()
