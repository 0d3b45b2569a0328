"""The random numbers that TomoLens draws, written down anew: SplitMix64 and the polar method of Marsaglia & Bray (1964)."""
import math


class Random:
    """SplitMix64 (Steele, Lea & Flood 2014)."""
    def __init__(self, seed): self.state = seed
    def next(self):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        return z ^ z >> 31
    def uniform(self): return (self.next() >> 11) * 2.0 ** -53
    def normal(self):
        while True:
            u, v = 2 * self.uniform() - 1, 2 * self.uniform() - 1
            s = u * u + v * v
            if 0 < s < 1: return u * math.sqrt(-2 * math.log(s) / s)
