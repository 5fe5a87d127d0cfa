"""Agents, conversations with them, and the runs that answer."""

from backend.agents.models.agents import Agent, AgentVersion, Knowledge
from backend.agents.models.conversations import Conversation, Feedback, Message
from backend.agents.models.runs import Run, Step

__all__ = ["Agent", "AgentVersion", "Conversation", "Feedback", "Knowledge", "Message", "Run", "Step"]
