"""Who generates text: our vLLM servers, hosted endpoints, transformers in-process, scripts."""
