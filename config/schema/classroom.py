"""Settings of the classroom: who is told what, how long a conversation may be, what counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from config.limits import (
    AtLeast0,
    AtLeast1,
    Finite,
    FiniteNotNegative,
    NotNegative,
    OneOf,
    Range,
    Share,
)

LEAK_RULE = "does_not_leak_answer"
CONVERSATION_TYPES = ("guided", "attempted")
#: `generation.post_test` -> the tests that it stands for
POST_TESTS: dict[str, tuple[Literal["same", "transfer"], ...]] = {
    "same": ("same",),
    "transfer": ("transfer",),
    "both": ("same", "transfer"),
}
KINDS = ("plain", "archetype", "misconception", "adversarial")  # of students


@dataclass
class RewardEntry:
    """One reward: a function of a conversation, and the weight that multiplies its value."""

    function: str = "???"  # module:function, or file.py:function; none takes the reward away
    weight: Finite = 1.0  # 0: computed and shown, without effect


def paper_rewards() -> dict[str, RewardEntry]:
    """The paper's five (section 3.4), with its weights."""
    weights = {
        "solve": 1.0,
        "pedagogy": 1.0,  # its function gives -lambda
        "thinking": 0.5,
        "end_of_conversation": 0.1,
        "length": 0.5,
    }
    return {name: RewardEntry(f"utils.rewards:{name}", w) for name, w in weights.items()}


@dataclass
class StudentEntry:
    """One student: a policy with a name (new)."""

    persona: str = "???"  # prompt file; none takes the student away
    # what it is there for (docs/students.md)
    kind: Annotated[str, OneOf(KINDS)] = "plain"
    # share of a training batch, against the others'
    weight: FiniteNotNegative = 1.0
    held_out: bool = False  # met in evaluation alone
    model: Any = None  # ModelSettings of another model; what is left out is as in student_model
    replies: str | None = None  # module:function that speaks for it; where it gives None, the model
    misconception: str | None = None  # a rule of utils/students/malrules.py, or module:name
    rounds: AtLeast0 = 3  # of pressure, by an adversarial one
    check: str | None = None  # module:function that tells whether a message is in character


@dataclass
class GenerationSettings:
    """The classroom: who is told what, how long a conversation may be, what counts."""

    # persona -> its prompt file
    student_personas_prompts_paths: dict[str, str] = field(
        default_factory=lambda: {"simple_student": "prompt_templates/personas/simple_student.txt"}
    )
    # rule -> prompt file, matcher or module:function that judges whole conversations; none: off
    judges_rules_prompts_paths: dict[str, str] = field(
        default_factory=lambda: {
            LEAK_RULE: "prompt_templates/judges/does_not_leak_answer.txt",
            "follows_pedagogical_values": "prompt_templates/judges/follows_pedagogical_values.txt",
        }
    )
    # what opens an "attempted" conversation, inside the wrapper below
    student_initial_attempt_prompt_path: str = "prompt_templates/student_initial_attempt.txt"
    student_final_prompt_path: str = "prompt_templates/student_final.txt"  # asks for a solution
    # new; in force while it is solved; `persona`: the persona's text stays in force
    student_final_system_prompt_path: str = "prompt_templates/student_final_system.txt"
    # the tutor's system message; `none`: none of ours
    teacher_prompt_path: str = "prompt_templates/teacher.txt"
    # what is put around an attempt that opens a conversation
    initial_attempt_wrapper_prompt_path: str = "prompt_templates/initial_attempt_wrapper.txt"
    # the bare problem, before any conversation: number_initial_attempts times
    student_attempt_prompt_path: str = "prompt_templates/student_attempt.txt"
    max_turns: AtLeast1 = 16  # messages of both roles; in a session, about each problem
    max_tokens_in_conversation: AtLeast1 = 8192  # of all its messages
    max_tokens_per_turn: AtLeast1 = 1024  # of one message
    max_tokens_per_student_attempt: AtLeast1 = 3900  # of one solution
    max_tokens_per_judge_attempt: AtLeast1 = 2048  # of one verdict
    number_student_attempts: AtLeast0 = 8  # solutions after a conversation
    number_judge_attempts: AtLeast0 = 2  # verdicts by each rule
    ignore_rejected_judge: bool = True  # soft lambda; false: hard (a rejection is -lambda flat)
    # every conversation's type (attempt: attempted); null: drawn
    forced_conversation_type: Annotated[str | None, OneOf((None, *CONVERSATION_TYPES))] = None
    use_thinking: bool = False  # the tutor thinks before it speaks, unheard
    force_thinking: bool = False  # each of its turns begins in thought
    extra_penalty_for_rejected_judges: NotNegative = 1.0  # lambda, which is subtracted
    # drawn for each conversation; null: without a name
    student_names: list[str | None] = field(
        default_factory=lambda: [
            "Alex", "Jamie", "Taylor", "Jordan", "Sam", "Casey", "Morgan", "Riley", None,
        ]
    )  # fmt: skip
    # new
    solution_ending: str = ""  # given to solutions that box nothing, which then go on from it
    # what asks the tutor to open a guided conversation
    tutor_opening_prompt_path: str = "prompt_templates/tutor_opening.txt"
    # rules whose prompt is given the known answer
    rules_that_see_the_answer: list[str] = field(
        default_factory=lambda: [LEAK_RULE, "follows_pedagogical_values"]
    )
    leak_rule: str = LEAK_RULE  # whose REJECTs are `leaked`
    rules_only_reported: list[str] = field(default_factory=list)  # recorded, never a rejection
    # name -> rule (prompt file, matcher, module:function) that each tutor turn is judged by at once
    turn_rules: dict[str, str] = field(default_factory=dict)
    # of a tutor turn that fails; penalise: at its own tokens; withhold: the student complains
    # instead of reading it
    failed_turn: Annotated[str, OneOf(("record", "penalise", "withhold"))] = "record"
    # off the advantage of a failed turn's tokens, unless only recorded
    turn_penalty: NotNegative = 1.0
    # what a student says to a withheld turn: one a line, chosen by seed
    complaints_path: str = "prompt_templates/complaints.txt"
    # a conversation without a verdict: left out of its group, or rejected
    missing_verdict: Annotated[str, OneOf(("exclude", "reject"))] = "exclude"
    peers: dict[str, str] = field(default_factory=dict)  # name -> persona file: more students
    judge_retries: AtLeast0 = 2  # more requests for a verdict that could not be read
    # hard lambda: of a problem's samples, how many are solved even if rejected, for the curves
    solve_rejected_share: Share = 0.0
    number_initial_attempts: AtLeast0 = 0  # solutions before the conversation; 0: not measured
    # what is solved before and after: the problem, another one of its kind, or both
    post_test: Annotated[str, OneOf(tuple(POST_TESTS))] = "same"
    # of post_test=both: which one is rewarded
    rewarded_test: Annotated[str, OneOf(POST_TESTS["both"])] = "transfer"
    hide_tutor: bool = True  # in the transfer test each tutor turn reads "(hidden)"
    # asks for a solution in the transfer test
    student_transfer_prompt_path: str = "prompt_templates/student_transfer.txt"
    # what is rewarded: the rate after, less that before, or that as a share of what was left
    gain: Annotated[str, OneOf(("solve", "difference", "normalised"))] = "solve"
    # above so many visible tokens a tutor turn discounts what was gained; 0: it does not
    long_turn_tokens: AtLeast0 = 0
    long_thinking_tokens: AtLeast0 = 0  # the same for its hidden planning
    max_concurrent_conversations: AtLeast0 = 0  # 0: all at once
    # related problems in one conversation; the tutor is absent in the last one (docs/sessions.md)
    problems_per_session: AtLeast1 = 1
    # what is solved: last, without the tutor; each, after its talk
    session_reward: Annotated[str, OneOf(("last", "each"))] = "last"
    # tells the tutor that the next problem begins
    session_next_tutor_prompt_path: str = "prompt_templates/teacher_session_next.txt"
    # tells the student so
    session_next_student_prompt_path: str = "prompt_templates/session_next_student.txt"
    # asks the student for the last problem, alone
    session_alone_prompt_path: str = "prompt_templates/session_alone.txt"
    # of each conversation (Any, so that Hydra adds one by a plus sign)
    rewards: dict[str, Annotated[Any, RewardEntry]] = field(default_factory=paper_rewards)
    # who learns, in place of student_personas_prompts_paths where there is any
    students: dict[str, Annotated[Any, StudentEntry]] = field(default_factory=dict)
    students_measured: str | None = None  # a students.json of `eval.py --config-name students`
    # below it, training warns of a measured student
    min_selectivity: Annotated[float, Range("between -1 and 1", lambda v: -1 <= v <= 1)] = 0.3
