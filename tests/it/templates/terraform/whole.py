"""The Terraform modules by Terraform itself, in a copy: formatted, valid, tested.

whole.py fmt|validate|test [DEPLOY [MODULE [ARGUMENT of terraform test]...]]

Of one module, such as `.` or `modules/vault`, or of all. Ends with 75 where there is no Terraform. The provider is the stand-in of testbed/terraform.sh.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def terraform(folder, *arguments):
    command = ["terraform", f"-chdir={folder}", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def main(what, source="deploy", module=None, *arguments):
    if not shutil.which("terraform"):
        print("there is no terraform on this machine, and no package registry has it")
        return 75
    if what == "fmt":
        code, said = terraform(source, "fmt", "-check", "-recursive", "-diff")
        print(said or "formatted")
        return int(code != 0)
    with tempfile.TemporaryDirectory() as place:
        # Neither its folders nor its lock file belong into the source. The tests read files beside the module.
        root = Path(shutil.copytree(source, Path(place) / "deploy")) / "terraform"
        folders = [root / module] if module else [root, *sorted((root / "modules").iterdir())]
        if what == "validate":
            folders += [root / "examples" / "complete"]
        for folder in folders:
            steps = [["init", "-backend=false"], ["validate"] if what == "validate" else ["test", *arguments]]
            for step in steps:
                code, said = terraform(folder, *step, "-no-color")
                if code or step[0] != "init":
                    print(f"== {folder.relative_to(root.parent)}: {step[0]}\n{said}")
                if code:
                    return 1
    return 0


if __name__ == "__main__":
    cache = Path(os.environ.get("TESTBED_CACHE") or Path.home() / ".cache" / "pgseal")
    os.environ["TF_CLI_CONFIG_FILE"] = str(cache / "terraform" / "made" / "terraform.rc")
    sys.exit(main(*sys.argv[1:]))
