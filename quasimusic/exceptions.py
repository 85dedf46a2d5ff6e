"""Every fault and warning the project raises, in one tree.

Faults descend from `QuasimusicError` through four families: `DatabaseFault`, `TableFault`,
`InputFault` and `EngineFault`. Warnings descend from `QuasimusicWarning`. Messages are written
for the person who can mend the matter: what was wrong, where, and what would be right.
No Django here: the engine room raises these too.
"""


class QuasimusicError(Exception):
    """Root of every fault raised on purpose. `status` is the HTTP status a door answers with."""

    status = 500
    title = "Something went wrong"


class DatabaseFault(QuasimusicError):
    """A stored thing is absent, taken or not ready."""

    title = "The library could not be read"


class ModelsAbsent(DatabaseFault):
    """No trained model is active yet."""

    status = 503
    title = "Not trained yet"


class ArtefactBroken(DatabaseFault):
    """A stored model is incomplete, altered or of another format."""


class TableFault(QuasimusicError):
    """A table (file, frame or array) does not hold what its columns promise."""

    status = 400
    title = "The table is not right"


class ColumnMissing(TableFault):
    """A required column is absent."""


class RowRejected(TableFault):
    """A row holds a value its column forbids."""


class FileRejected(TableFault):
    """A file cannot be read as a table at all."""


class MomentUnknown(TableFault):
    """What must be put in order of time does not tell when it was."""


class InputFault(QuasimusicError):
    """Somebody asked for what cannot be: a rating of 7, an unknown song."""

    status = 400
    title = "That does not work"


class RatingOutOfRange(InputFault):
    """A rating that is not a whole number from 1 to 5."""


class PlayRejected(InputFault):
    """A report of a play that cannot be true: it starts in the future, lasts less than nothing, is of another song."""


class VerdictRejected(InputFault):
    """A verdict of another kind than there are, or one that ends before it begins."""


class SliderOutOfRange(InputFault):
    """A slider of the mixing board was set beyond its ends."""


class UnknownSong(InputFault):
    """A song id that no table holds."""

    status = 404
    title = "No such song"


class UnknownListener(InputFault):
    """A listener id that no table holds."""

    status = 404
    title = "No such listener"


class UnknownEngine(InputFault):
    """An engine name that the band does not have."""

    status = 404
    title = "No such engine"


class EngineFault(QuasimusicError):
    """An engine cannot be fitted or cannot answer."""


class TableNeeded(EngineFault):
    """An engine was asked to learn without the table it learns from."""


class TrainingDiverged(EngineFault):
    """What an engine learns is no longer finite; nothing of it is kept."""

    title = "The training came to nothing"


class ParameterOutOfRange(EngineFault):
    """A hyper-parameter outside its documented range."""

    status = 400


class ClusterUnreachable(EngineFault):
    """The cluster that training is to run on does not answer, has no workers or keeps losing them."""

    status = 503


class QuasimusicWarning(UserWarning):
    """Root of every warning raised on purpose."""


class TableWarning(QuasimusicWarning):
    """A table was read, but not all of it could be used."""


class ColumnIgnored(TableWarning):
    """A column that is neither known nor numeric was left out."""


class RowWithoutFeatures(TableWarning):
    """Songs came without a single feature; content engines have no opinion on them."""
