"""Random numbers, sorting, indexing, reductions, half precision, RNN, embedding."""

from common import line, show, torch

torch.cuda.manual_seed(7)
show("rand", torch.rand(1000, device="cuda"), torch.randn(1000, device="cuda", dtype=torch.float64))
show("integers", torch.randint(0, 1 << 30, (1000,), device="cuda"), torch.randperm(1000, device="cuda"))
show("multinomial", torch.multinomial(torch.rand(64, device="cuda"), 1000, replacement=True))
show("bernoulli", torch.empty(999, device="cuda").bernoulli_(0.3), torch.empty(99, device="cuda").exponential_())
state = torch.cuda.get_rng_state()
first = torch.rand(10, device="cuda")
torch.cuda.set_rng_state(state)
line("state", torch.equal(first, torch.rand(10, device="cuda")))
x = torch.randn(100000, device="cuda")
show("sort", *torch.sort(x))
show("topk", *torch.topk(x, 17))
show("cumsum", torch.cumsum(x, 0), x.half().float().sum().reshape(1), x.bfloat16().float().amax().reshape(1))
show("unique", torch.unique((x * 10).long()))
show("nonzero", torch.nonzero(x > 2.5))
show("dropout", torch.nn.functional.dropout(x, 0.5))
lstm = torch.nn.LSTM(32, 64, 2).cuda()
show("lstm", lstm(torch.randn(10, 4, 32, device="cuda"))[0])
show("embedding", torch.nn.Embedding(100, 16).cuda()(torch.randint(0, 100, (5, 6), device="cuda")))
