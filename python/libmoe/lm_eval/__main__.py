"""python -m libmoe.lm_eval: lm-eval's command line with the model type "libmoe"."""

from . import main

if __name__ == "__main__":
    main()
