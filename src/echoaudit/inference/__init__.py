"""Facts to conclusions: is a persona treated differently, and how sure is that?

The unit of treatment, and hence of analysis, is the account: its bids are not independent of each
other, however many there are. ``docs/inference.md`` explains the methods and their error rates.
"""

from echoaudit.inference.conclude import conclude, conclude_all
from echoaudit.inference.conclusion import Conclusion
from echoaudit.inference.lacking import Unfinished

__all__ = ["Conclusion", "Unfinished", "conclude", "conclude_all"]
