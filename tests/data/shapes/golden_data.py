"""What the scripts beside this file share: logits, greedy replies without near ties, and golden data of prompts."""
import torch


@torch.no_grad()
def logits_of(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def reply_of(model, ids, length):
    """Greedy tokens and the logits they were chosen from; None where the choice is close, or the reply dull."""
    tokens, rows = list(ids), []
    for _ in range(length):
        rows.append(logits_of(model, tokens)[-1])
        best = torch.topk(rows[-1], 2).values
        if best[0] - best[1] < 1e-2:
            return None
        tokens.append(int(rows[-1].argmax()))
    reply = tokens[len(ids):]
    return (reply, torch.stack(rows)) if len(set(reply)) >= 3 else None


def prompts_of(model, exact, prompts, replies, watch):
    """Tensors, golden.json's prompts, and the largest difference from the float64 model `exact`. watch(model, ids) gives
    the residual streams, and the chosen experts by layer."""
    tensors, golden, worst = {}, [], 0.0
    for p, (ids, (reply, rows)) in enumerate(zip(prompts, replies)):
        logits = logits_of(model, ids)
        hidden, routing = watch(model, ids)
        worst = max(worst, (logits_of(exact, ids).float() - logits).abs().max().item())
        tensors |= {f"prompt{p}.input_ids": torch.tensor(ids, dtype=torch.int32), f"prompt{p}.logits": logits,
                    f"prompt{p}.greedy_ids": torch.tensor(reply, dtype=torch.int32), f"prompt{p}.greedy_logits": rows}
        tensors |= {f"prompt{p}.hidden.{i}": h for i, h in enumerate(hidden)}
        log_p = torch.log_softmax(logits.double(), -1)
        logprobs = [float(log_p[t, ids[t + 1]]) for t in range(len(ids) - 1)]
        reply_log_p = torch.log_softmax(rows.double(), -1)
        golden.append({"ids": ids, "greedy": reply, "logprobs": logprobs, "sum_logprob": sum(logprobs),
                       "greedy_logprobs": [float(reply_log_p[i, t]) for i, t in enumerate(reply)],
                       "argmax": logits.argmax(-1).tolist(), "routing": routing})
    return tensors, golden, worst
