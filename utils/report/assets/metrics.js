// Every metric in words: its name, its meaning, how its values are written.

// What each metric is called and means, how it is written, which way is better (1 up, -1 down, 0 neither).
const METRICS = {
  solve_before: { name: "Solved before", says: "How often the student solves the problem before the conversation, from the bare text.", share: true, better: 0 },
  solve_after: { name: "Solved after", says: "How often the student solves the same problem alone after the conversation.", share: true, better: 1 },
  delta: { name: "Gain", says: "Solve rate after the conversation less the one before it, in percentage points.", share: true, signed: true, better: 1 },
  normalised_gain: { name: "Normalised gain", says: "The gain as a share of what there was to gain: 1 if every failure became a success.", better: 1 },
  leaked: { name: "Leaked", says: "Share of verdicts that say the tutor gave the answer away.", share: true, better: -1 },
  rejected: { name: "Rejected", says: "Share of verdicts, over all rules that count, that reject the conversation.", share: true, better: -1 },
  leaked_any: { name: "Leaked, any verdict", says: "Share of conversations in which at least one verdict says that the answer was given away.", share: true, better: -1 },
  rejected_any: { name: "Rejected, any verdict", says: "Share of conversations that at least one verdict rejects.", share: true, better: -1 },
  solve_after_accepted: { name: "Solved after, accepted only", says: "The solve rate after conversations that every judge accepted; the others are left out.", share: true, better: 1 },
  delta_accepted: { name: "Gain, accepted only", says: "The gain in conversations that every judge accepted.", share: true, signed: true, better: 1 },
  solve_same_before: { name: "The problem itself, before", says: "How often the student solves the problem itself in the test before the conversation.", share: true, better: 0 },
  solve_same: { name: "The problem itself, after", says: "How often the student solves the problem itself in the test after the conversation.", share: true, better: 1 },
  gain_same: { name: "Normalised gain on it", says: "The gain on the problem itself, as a share of what there was to gain.", share: true, signed: true, better: 1 },
  solve_same_gated: { name: "Solved, 0 where leaked", says: "The solve rate of the problem itself, with 0 for conversations in which the answer was given away.", share: true, better: 1 },
  gain_same_gated: { name: "Normalised gain, 0 where leaked", says: "The normalised gain on it, with 0 for conversations in which the answer was given away.", share: true, signed: true, better: 1 },
  solve_transfer_before: { name: "Another problem, before", says: "How often the student solves another, unseen problem of the kind before the conversation.", share: true, better: 0 },
  solve_transfer: { name: "Another problem, after", says: "How often the student solves another, unseen problem of the kind after the conversation.", share: true, better: 1 },
  solve_transfer_accepted: { name: "Another problem, accepted only", says: "The solve rate of another problem after conversations that every judge accepted.", share: true, better: 1 },
  gain_transfer: { name: "Normalised gain on another", says: "The gain on another problem, as a share of what there was to gain.", share: true, signed: true, better: 1 },
  solve_transfer_gated: { name: "Another problem, 0 where leaked", says: "The solve rate of another problem, with 0 for conversations in which the answer was given away.", share: true, better: 1 },
  gain_transfer_gated: { name: "Gain on another, 0 where leaked", says: "The normalised gain on another problem, with 0 for conversations in which the answer was given away.", share: true, signed: true, better: 1 },
  transfer_gap: { name: "Transfer gap", says: "The gain on the problem itself less that on another one: what was told rather than learnt.", better: -1 },
  turns_hidden: { name: "Messages hidden in the test", says: "Share of tutor messages that are hidden from the student in the test.", share: true, better: 0 },
  fading_slope: { name: "Tokens more from problem to problem", says: "How many tokens of help more each problem takes than the one before; below 0, help fades.", better: -1 },
  retention: { name: "Kept until the next problem", says: "Of what was solved after a talk, the share that is solved alone on the next problem.", better: 1 },
  problems_reached: { name: "Problems come to", says: "Share of a session's problems that the conversation came to.", share: true, better: 1 },
  missing: { name: "Verdict missing", says: "Share of conversations in which a judge gave no readable verdict; they count neither way.", share: true, better: -1 },
  ped_rm_micro: { name: "Ped-RM, turns", says: "Mean score of the pedagogical reward model over tutor turns; higher is more like a teacher.", better: 1 },
  ped_rm_macro: { name: "Ped-RM, conversations", says: "The same score, first averaged within a conversation.", better: 1 },
  turns: { name: "Messages", says: "Messages in a conversation, of tutor and student together.", better: 0 },
  tutor_tokens: { name: "Tutor tokens", says: "Tokens that the tutor wrote in a conversation, hidden planning included.", better: 0 },
  accuracy: { name: "Accuracy", says: "Share of the benchmark's items answered right.", share: true, better: 1 },
  win_rate: { name: "Beats the human turn", says: "Share of tutor turns that the scorer prefers to the human teacher's turn.", share: true, better: 1 },
  f1_wrong: { name: "F1, wrong solutions found", says: "F1 of finding wrong solutions: one number for precision and recall.", share: true, better: 1 },
  control_delta: { name: "Gain without tutor", says: "The gain of students who simply tried again, without a tutor.", share: true, signed: true, better: 0 },
  control_difference: { name: "Tutor over control", says: "The gain with the tutor less the gain of trying again without one.", share: true, signed: true, better: 1 },
  distinct_openings: { name: "Distinct openings", says: "How often two different problems are opened with different words; 0: all get the same opening.", share: true },
  own_numbers: { name: "Uses the problem's numbers", says: "Share of tutor turns that hold a number of their own problem; some classrooms never repeat them.", share: true },
  fits_its_problem: { name: "Fits its own problem", says: "How much more often a turn's numbers (but for the answer) fit its own problem than another one; 0: they fit any problem." },
  question_share: { name: "Turns that ask", says: "Share of tutor turns with a question mark.", share: true },
  turn_length: { name: "Words in a tutor turn", says: "Words in a tutor turn, as the student sees it." },
  repeated_turns: { name: "Repeated turns", says: "Share of tutor turns that repeat an earlier turn of the same conversation word for word.", share: true },
  ended_early: { name: "Ended in the first turn", says: "Share of conversations that the tutor ends in its very first turn.", share: true },
  silent_turns: { name: "Silent turns", says: "Share of tutor turns in which the student sees nothing at all.", share: true },
  groups_without_spread: { name: "Groups without spread", says: "Share of groups whose rewards are all alike; such a group teaches the tutor nothing.", share: true },
  adapts_to_students: { name: "Adapts to students", says: "How differently the tutor speaks to different students about one problem." },
  least_helped_student: { name: "Gain of the least helped student", says: "The gain of the student whom the tutor helps least.", share: true, signed: true },
  least_gradient_share: { name: "Least share of the gradient", says: "The smallest share of the gradient that any student accounts for.", share: true },
  kl: { name: "KL to the start", says: "How far the tutor has moved from its start, in nats per token." },
};

function metricName(name) {
  if (name.startsWith("accuracy_")) return `Accuracy, ${name.slice(9)}`;
  if (METRICS[name]) return METRICS[name].name;
  const words = name.replace(/^reward_/, "reward: ").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

// Of one problem of a session.
const OF_A_POSITION = { solve: { share: true, better: 1 }, leaked: { share: true, better: -1 } };

function kindOf(name) {
  const place = /^(solve)_(?:alone|helped)_\d+$|^(leaked)_\d+$/.exec(name);
  if (place) return OF_A_POSITION[place[1] || place[2]];
  return METRICS[name.startsWith("accuracy_") ? "accuracy" : name] || {};
}

function metricValue(name, value) {
  const kind = kindOf(name);
  if (!present(value)) return "–";
  if (kind.signed) return `${points(value)}\u202fpp`;
  return kind.share ? percent(value) : Math.abs(value) >= 0.001 && Math.abs(value) < 1000 ? value.toPrecision(3).replace("-", "−") : number(value);
}

// A standard error: two digits that count.
const spreadText = (value) => (value >= 0.001 && value < 100 ? value.toPrecision(2) : number(value, 2));

const OF_REWARDS = {
  total: "The reward of a conversation: the sum of its parts, after their weights.",
  solve: "The part of the reward for what the student solves afterwards.",
  pedagogy: "The penalty λ of a rejected conversation; 0 where it was accepted.",
  thinking: "The part of the reward for planning in the agreed form.",
  end_of_conversation: "The part of the reward for ending the conversation in the agreed form.",
  length: "The part of the reward for keeping within the length.",
};

// What a metric means, in a sentence; a number of the trainer's own log has none of ours.
function meaning(name) {
  if (name.startsWith("reward_")) return OF_REWARDS[name.slice(7)] || `The part of the reward called ${name.slice(7).replaceAll("_", " ")}, after its weight.`;
  return kindOf(name).says || "";
}

// What stands on hover: the sentence, then the interval.
const hover = (name, ...more) => [meaning(name), ...more].filter(Boolean).join(" ") || null;
