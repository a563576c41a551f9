#!/usr/bin/env bash
# Self-play of a language model on one node: GPU 0 trains a LoRA adapter, vLLM samples on the others, the CPU searches.
#   MODEL=Qwen2.5-7B-Instruct INDEX=wiki-index ANSWERS=answers.jsonl GPUS=8 bash examples/one_node.sh
#   MODEL=... INDEX=... ANSWERS=... sbatch --gpus=8 --requeue --time=24:00:00 examples/one_node.sh
# Given again, and by SLURM after a requeue, the same command goes on where the run was stopped.
set -euo pipefail
: "${MODEL:?folder of the model}" "${INDEX:?folder that ssp index build wrote}" "${ANSWERS:?file of answers}"
GPUS=${GPUS:-${SLURM_GPUS_ON_NODE:-8}} NAME=${NAME:-one-node} PORT=${PORT:-8100}
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

wait_for() {  # until a server answers, or one of them has ended
    until curl --silent --fail --output /dev/null "$1"; do
        for server in $(jobs -p); do kill -0 "$server" || { echo "a server ended before $1 answered" >&2; exit 1; }; done
        sleep 1
    done
}

ssp serve --index "$INDEX" --port "$PORT" &
servers=()
for ((gpu = 1; gpu < GPUS; gpu++)); do
    CUDA_VISIBLE_DEVICES=$gpu VLLM_SERVER_DEV_MODE=1 VLLM_ALLOW_RUNTIME_LORA_UPDATING=True \
        vllm serve "$MODEL" --port $((PORT + 100 + gpu)) --enable-lora --max-lora-rank 32 --logprobs-mode processed_logprobs &
    servers+=("http://127.0.0.1:$((PORT + 100 + gpu))")
done
wait_for http://127.0.0.1:$PORT/health
for server in "${servers[@]}"; do wait_for "$server/health"; done

urls=$(IFS=,; echo "${servers[*]}")
if [[ -f runs/$NAME/config.json ]]; then
    CUDA_VISIBLE_DEVICES=0 ssp train --resume "runs/$NAME" --servers "$urls"
else
    CUDA_VISIBLE_DEVICES=0 ssp train --preset qwen2.5-7b-paper --name "$NAME" --servers "$urls" \
        --set model.name="$MODEL" --set model.lora_rank=32 --set model.dtype=bfloat16 --set learner.learning_rate=1e-5 \
        --set source.search=http://127.0.0.1:$PORT/retrieve --set source.answers="$ANSWERS" \
        --set rollout.staleness=1 --set learner.importance_cap=2.0
fi
