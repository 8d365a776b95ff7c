"""Human review of instruction data: the decisions on disk and the page on which they are made.

`main` is what `faceshield review` runs; `decisions` knows no page, `page` no command line.

Example:
    >>> from faceshield_hf.data.review import main
    >>> main(["--build", "missing", "--decisions", "missing", "--reviewer", "ann"])
    2
"""

import argparse
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Open the review page, or tell how far reviewers agree.

    Args:
        argv (`Sequence[str]`, *optional*): arguments; those of the process if not given.

    Returns:
        `int`: 0 when it was closed; 2 for wrong input.
    """
    parser = argparse.ArgumentParser(prog="review", description="Accept, fix or reject answers from the keyboard.")
    parser.add_argument("--build", required=True, help="folder of a finished build")
    parser.add_argument("--decisions", required=True, help="folder of decisions, one file a reviewer")
    parser.add_argument("--reviewer", help="your name; letters, digits, dots, hyphens, underscores")
    parser.add_argument("--rejected", action="store_true", help="review what the filters turned down")
    parser.add_argument("--agreement", action="store_true", help="print the reviewers' agreement and stop")
    parser.add_argument("--port", type=int, default=7861, help="port on this machine")
    arguments = parser.parse_args(argv)
    try:
        if arguments.agreement:
            from faceshield_hf.data.review.decisions import Verdicts

            for row in Verdicts.read(arguments.decisions).agreement():
                sys.stdout.write(f"{row}\n")
            return 0
        if not arguments.reviewer:
            raise ValueError("--reviewer is missing: decisions are kept by reviewer")
        from faceshield_hf.data.review.page import Review, make_page

        page = make_page(Review(arguments.build, arguments.decisions, arguments.reviewer, arguments.rejected))
        page.launch(server_name="127.0.0.1", server_port=arguments.port, quiet=True, run_history=False)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0
