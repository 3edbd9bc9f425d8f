"""The settings' models as rag takes them."""

from api.settings import Settings
from rag.models.catalog import EndpointConfig, ModelsConfig


def models_config(settings: Settings) -> ModelsConfig:
    """Configured endpoints and defaults."""
    models = settings.models
    return ModelsConfig(
        endpoints=[
            EndpointConfig(
                provider=provider.name,
                base_url=provider.base_url,
                api_key=provider.api_key.get_secret_value(),
                chat_models=provider.chat_models,
                embedding_models=provider.embedding_models,
                rerank_models=provider.rerank_models,
                speech_to_text_models=provider.speech_to_text_models,
                text_to_speech_models=provider.text_to_speech_models,
                protocol=provider.protocol,
                concurrency=provider.concurrency,
                context_tokens=provider.context_tokens,
                timeout_s=provider.timeout_s,
                batch_size=settings.embedding.batch_size,
            )
            for provider in models.providers
        ],
        default_chat=models.default_chat,
        default_embedding=models.default_embedding,
        allow_private=models.allow_private_hosts,
    )
