from .background import arun as arun
from .background import run as run
from .policy import RequestPolicy as RequestPolicy
from .policy import RetryPolicy as RetryPolicy
from .service import Answer as Answer
from .service import HTTPService as HTTPService
from .service import ReplyTooLong as ReplyTooLong
