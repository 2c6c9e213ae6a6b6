"""Mercado Livre: `client` speaks their HTTP, `parsing` reads their JSON, `oauth` trades tokens, `channel` the port."""
