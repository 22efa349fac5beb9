"""Base classes of expected errors, whose message is one sentence for the user."""


class BadInput(Exception):  # noqa: N818 - an error of the input, not of the program
    """The input is invalid; nothing was started.

    Example:
        ```python
        try:
            cifar_exp.Experiment(name="mine", epochs=0)
        except cifar_exp.BadInput as error:
            print(error)  # one line for each problem
        ```
    """


class Unavailable(Exception):  # noqa: N818
    """Data, a store or a resource of this machine is unavailable.

    Example:
        ```python
        try:
            cifar_exp.compare("mine", tracking_uri="http://127.0.0.1:9")
        except cifar_exp.Unavailable as error:
            print(error)
        ```
    """


class TrainingFailed(Exception):  # noqa: N818
    """A single training has no result: for example, it diverged, or memory ran out.

    Example:
        ```python
        try:
            epochs = list(cifar_exp.train(lr=1000.0, epochs=1))
        except cifar_exp.TrainingFailed as error:
            print(error)
        ```
    """
