"""A plain server of ten APIs, written from their docs alone: it takes nothing from the package it helps to test.

endpoint   HTTP, keys, windows, idempotency     operations   chat, embeddings and the other answers
apis       what each API takes, as documented   speech       what the models say
values     requests, replies, refusals          defects      ways to get one thing wrong
misreadings, spoils   what the defects are made of

openai_site, openai_requests, openai_rules, openai_answers, openai_responses, shapes   the same of OpenAI's
hosts_site, hosts_requests, azure_responses   and of Azure's and OpenRouter's
ollama_site, ollama_requests   and of Ollama's
anthropic_site, anthropic_requests, gemini_site, gemini_requests   of Anthropic's and Gemini's
accents   OpenAI's chat as others have it
"""
