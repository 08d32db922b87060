"""Lengths that a fast Fourier transform likes."""

from bisect import bisect_left
from functools import lru_cache


@lru_cache(maxsize=64)
def _smooth_numbers(limit: int, primes: tuple[int, ...]) -> list[int]:
    numbers = [1]
    for prime in primes:
        for n in numbers:  # grows while it is walked: every product with the prime is walked again
            if n * prime <= limit:
                numbers.append(n * prime)
    return sorted(numbers)


@lru_cache(maxsize=1024)
def fast_size(n: int) -> int:
    """The smallest even size of at least ``n`` samples that has no prime factor above 7."""
    sizes = _smooth_numbers(1 << max(4, n.bit_length()), (2, 3, 5, 7))
    return next(size for size in sizes[bisect_left(sizes, n) :] if size % 2 == 0)
