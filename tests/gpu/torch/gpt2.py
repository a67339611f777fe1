"""GPT-2 with random weights, eight tokens, greedy."""

from common import line, torch
from transformers import GPT2Config, GPT2LMHeadModel

model = GPT2LMHeadModel(GPT2Config()).cuda().eval()
ids = torch.randint(0, 50000, (1, 32), device="cuda")
with torch.no_grad():
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, min_new_tokens=8, do_sample=False, pad_token_id=0)
line("tokens", out[0, 32:].tolist())
