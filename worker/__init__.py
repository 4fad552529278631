"""The processes that train: Celery application, supervisor, trainer."""
