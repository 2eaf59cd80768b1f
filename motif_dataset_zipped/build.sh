#!/usr/bin/env bash
# The shipped dataset, its label sets and the reward models, made again, byte by byte; compare with
# SHA256SUMS. Run it from the repository, with `faketime` (Debian's package) installed: NetHack reads the date
# and the time, so its clock stands still here (-f).
#
#     PATH="$PWD/.venv/bin:$PATH" bash motif_dataset_zipped/build.sh build
#
# Only the policies that play cannot be made again exactly: asynchronous training does not repeat. They
# were trained for the game's score alone, by
#
#     python -m scripts.main --algo APPO --env nle_fixed_eat_action --root_env NetHackScore-v1 \
#         --num_workers 2 --num_envs_per_worker 32 --batch_size 1024 --reward_scale 0.1 --obs_scale 255.0 \
#         --llm_reward 0.0 --extrinsic_reward 1.0 --save_every_steps 200000 --keep_checkpoints 30 \
#         --train_for_env_steps 3000000 --seed 778 --experiment score
#
# which made policy_score. policy_score_early and policy_score_middle are checkpoints of a run with --seed 777.
set -euo pipefail
OUTPUT=${1:?usage: build.sh FOLDER}
DATASET=$OUTPUT/motif_dataset
GOALS="defaultgoal zeroknowledge combat gold stairs"
export OMP_NUM_THREADS=1 # one thread adds in one order

faketime -f '2026-06-10 12:00:00' python -m scripts.collect_pairs_dataset --directory "$DATASET" \
    --num_pairs 50000 --sampling rare --candidates 10 --seed 777 \
    --policy explorer explorer explorer checkpoint \
    --checkpoint models/policy_score_early models/policy_score_middle models/policy_score

for goal in $GOALS; do
    python -m scripts.annotate_pairs_dataset --directory "$DATASET" \
        --annotator-type rules --goal-key "$goal"
done
python -m scripts.annotate_pairs_dataset --directory "$DATASET" --annotator-type score
python -m scripts.annotate_pairs_dataset --directory "$DATASET" --annotator-type return

python -m scripts.pack_dataset --directory "$DATASET" --output "$OUTPUT/motif_dataset_zipped" \
    --part-size-mib 8
(cd "$OUTPUT/motif_dataset_zipped" && sha256sum motif_dataset_part_*)

for goal in $GOALS; do
    python -m scripts.train_reward --dataset_dir "$DATASET" --annotator "rules_msg_$goal" \
        --batch_size 256 --reward_lr 1e-3 --num_epochs 8 --seed 777 --device cpu \
        --train_dir "$OUTPUT/rewards" --experiment "reward_$goal"
    python -m scripts.export_model --run "$OUTPUT/rewards/reward_$goal" --dataset_dir "$DATASET" \
        --output "$OUTPUT/models/reward_$goal"
done
